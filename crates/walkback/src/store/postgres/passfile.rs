//! The file of passwords that PostgreSQL's own programs read: what PGPASSFILE names, or `~/.pgpass`.

use std::fs;
use std::path::Path;

use tracing::warn;

/// The password of the first line that fits: `host:port:database:user:password`, each of the four may be `*`,
/// and `\` stands before a `:` or `\` that is meant (PostgreSQL's documentation, "The Password File").
/// A file that others may read is left alone, as they do.
pub(super) fn password(file: &Path, of: [&str; 4]) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    if is_open(file) {
        warn!(file = %file.display(), "others may read this file of passwords: expected mode 0600; not used");
        return None;
    }
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [fits @ .., password] = fields.as_slice() else { return None };
        let alike = |(field, wanted): (&String, &str)| field == "*" || field == wanted;
        (fits.len() == 4 && fits.iter().zip(of).all(alike)).then(|| password.clone())
    })
}

/// Whether others than its owner may read or write it.
fn is_open(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    false
}

/// The fields of a line; everything behind the fourth `:` is the last one.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 5 => fields.push(String::new()),
            letter => {
                let meant = if letter == '\\' { letters.next() } else { Some(letter) };
                fields.last_mut().into_iter().for_each(|field| field.extend(meant));
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{fs, password};

    #[test]
    fn the_first_line_that_fits_has_the_password_and_a_file_for_all_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let text =
            "# ours\nh:5432:sagas:bob:no\nh:*:sagas:ada:a\\:b\\\\c:d\n*:*:*:ada:any\nbroken\n";
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let of = |host, port, database, user| password(&file, [host, port, database, user]);
        assert_eq!(of("h", "5432", "sagas", "ada").as_deref(), Some("a:b\\c:d"));
        assert_eq!(of("other", "1", "d", "ada").as_deref(), Some("any"));
        assert_eq!(of("h", "5432", "sagas", "carol"), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(of("other", "1", "d", "ada"), None);
        assert_eq!(password(&folder.path().join("absent"), ["h", "1", "d", "u"]), None);
    }
}
