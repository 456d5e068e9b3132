//! I5 and I8: the ledger as a chain of rows, and who wrote them.

use crate::id::ClaimId;
use crate::ledger::{Row, RowHash, root_hash};
use crate::store::StoredRun;
use crate::verify::Report;

/// Whether the rows are a gapless chain from what the run was started with to its head, written
/// under claims that follow one another.
pub(super) fn check(run: &StoredRun, report: &mut Report) {
    chain(run, report);
    writers(run, report);
}

fn chain(run: &StoredRun, report: &mut Report) {
    let (id, spec, head) = (run.spec.id, &run.spec, &run.head);
    let mut previous = root_hash(id, &spec.kind, &spec.steps, spec.inputs.as_str());
    for (seq, row) in (0_u64..).zip(&run.rows) {
        if row.seq != seq {
            let what = format!("row {} stands where row {seq} is expected", row.seq);
            return report.add("I5", id, what);
        }
        if row.previous != previous {
            return report.add("I5", id, broken(row, previous));
        }
        previous = row.hash(id);
    }
    let len = run.rows.len() as u64;
    if head.len != len || head.hash != previous {
        let what = format!("the head says {} rows ending in {:?}", head.len, head.hash);
        report.add("I5", id, format_args!("{what}: there are {len} ending in {previous:?}"));
    }
    if run.rows.is_empty() {
        report.add("I5", id, "there is no row at all");
    }
}

fn broken(row: &Row, expected: RowHash) -> String {
    let (seq, found) = (row.seq, row.previous);
    format!("row {seq} follows {found:?}: the row before it, or what was started, is {expected:?}")
}

fn writers(run: &StoredRun, report: &mut Report) {
    let id = run.spec.id;
    let mut newest: Option<(ClaimId, u64)> = None;
    for row in &run.rows {
        let (seq, claim, fence) = (row.seq, row.claim, row.fence);
        if (claim == ClaimId::NONE) != (fence == 0) {
            report.add("I5", id, format_args!("row {seq} has fence {fence} and claim {claim:?}"));
            continue;
        }
        if fence == 0 {
            continue;
        }
        match newest {
            Some((_, known)) if fence < known => {
                let what = format!("row {seq} has fence {fence}, after rows of fence {known}");
                report.add("I8", id, what);
            }
            Some((owner, known)) if fence == known && claim != owner => {
                report.add("I8", id, format_args!("fence {fence} has two claims by row {seq}"));
            }
            _ => newest = Some((claim, fence)),
        }
    }
}
