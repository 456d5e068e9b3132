//! The table status × command of the contract, as data: what tests generate their cases from.

/// How a run can stand.
pub const COLUMNS: [&str; 8] = [
    "pending",
    "running",
    "compensating",
    "parked forward",
    "parked backward",
    "completed",
    "failed",
    "rolled_back",
];

/// As `docs/promises.md` has it, one row for each command, one mark for each column: `y` it fits, `s`
/// it is so already, `-` it is refused; any other mark: it fits a run that is so marked.
///
/// | mark | the run |
/// |---|---|
/// | `w` | waits at step 0 |
/// | `a` | waits at step 0 for an approval |
/// | `c` | may have step 0 done by hand |
/// | `p` | has a parked step or undo |
/// | `u` | has an undo of old data that is parked |
/// | `o` | has an open residue |
/// | `l` | has something left |
/// | `h` | is held |
pub const TABLE: [(&str, &str); 13] = [
    ("cancel", "yysys---"),
    ("pause", "yyy-----"),
    ("resume", "---yy---"),
    ("complete", "-w-c----"),
    ("skip", "-w-c----"),
    ("retry", "---pp-o-"),
    ("resolve", "---up-l-"),
    ("abandon", "----p-o-"),
    ("rollback", "-----y--"),
    ("signal", "yy-y----"),
    ("approve", "-a------"),
    ("deny", "-a------"),
    ("hold", "---h----"),
];

/// What a command does to a run in this column with these marks: it fits, is so already, or (`None`)
/// is refused.
///
/// ```
/// use walkback::testing::contract::expected;
/// assert_eq!(expected("cancel", "running", ""), Some(true));
/// assert_eq!(expected("retry", "failed", "l"), None);
/// ```
///
/// # Panics
/// If there is no such command or column.
#[expect(clippy::expect_used, reason = "testing code reports by panic")]
pub fn expected(command: &str, column: &str, marks: &str) -> Option<bool> {
    let at = COLUMNS.iter().position(|name| *name == column).expect("a column");
    let (_, row) = TABLE.iter().find(|(name, _)| *name == command).expect("a command");
    match row.as_bytes()[at] {
        b'y' => Some(true),
        b's' => Some(false),
        b'-' => None,
        mark => marks.as_bytes().contains(&mark).then_some(true),
    }
}
