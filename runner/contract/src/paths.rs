//! Paths that people write: whether one stays where it belongs. Pure.

/// Whether a path below a folder of ours stays there: of the volumes of a run, for example.
pub(crate) fn check_below(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("must not be empty; leave the field out".to_owned());
    }
    if path.starts_with('/') {
        return Err("must not begin with '/': it is taken below the volumes folder; write it without".to_owned());
    }
    if path.split('/').any(str::is_empty) {
        return Err("must have a name before and after each '/'; remove the one that is too many".to_owned());
    }
    leads_out(path)
}

/// Whether the path of a file with a secret can be one. It is taken below the secrets folder, or is a whole path.
pub(crate) fn check_file(path: &str) -> Result<(), String> {
    let inside = path.strip_prefix('/').unwrap_or(path);
    if inside.split('/').any(str::is_empty) {
        return Err("must be the path of a file, without an empty part".to_owned());
    }
    leads_out(path)
}

/// Refuses what leads to another folder than the one that stands there.
fn leads_out(path: &str) -> Result<(), String> {
    if path.split('/').any(|part| part == "..") {
        return Err(
            "must not have '..' as a folder, which leads out of where it is; write where it leads to".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_volume_stays_below_it() {
        for bad in ["", "/", "/etc", "..", "../x", "a/../b", "a/..", "a//b", "a/"] {
            assert!(check_below(bad).is_err(), "{bad}");
        }
        for good in ["heads", "claim/folder", "a..b/..c", "./a"] {
            assert_eq!(check_below(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_secret_is_a_file_where_it_says() {
        for bad in ["", "/", "a/", "a//b", "../token", "s/../../etc/passwd", "/run/secrets/../x"] {
            assert!(check_file(bad).is_err(), "{bad}");
        }
        for good in ["secret/key", "/etc/kafka/ca.pem", "secret/..data"] {
            assert_eq!(check_file(good), Ok(()), "{good}");
        }
    }
}
