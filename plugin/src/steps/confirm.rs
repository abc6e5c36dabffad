//! Asking a person before something is destroyed. Off a terminal nobody can be asked: that is a refusal.

use crate::error::Error;
use crate::screen::Screen;

/// Goes on if the command line or a person says so.
///
/// # Errors
/// When nobody agreed.
pub(crate) fn confirm(question: &str, yes: bool, screen: &mut Screen) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    let refused = |what: String| Error::Refused { what, hint: "add --yes if that is meant".to_owned() };
    if !screen.interactive {
        return Err(refused(question.to_owned()));
    }
    screen.complain(&format!("{question}. Go on? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if agrees(&answer) { Ok(()) } else { Err(refused("nothing was done".to_owned())) }
}

/// Only a plain yes is one.
fn agrees(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::exit::Exit;
    use crate::screen::{Style, Times};

    #[test]
    fn nobody_to_ask_is_a_refusal() {
        let style = Style {
            width: None,
            colour: false,
            times: Times::Utc,
            zone: jiff::tz::TimeZone::UTC,
            now: Timestamp::UNIX_EPOCH,
            titles: true,
        };
        let mut screen = Screen::silent(style);
        let refused = confirm("all goes", false, &mut screen).unwrap_err();
        assert_eq!((refused.exit(), refused.to_string().as_str()), (Exit::Refused, "all goes"));
        assert!(refused.hint().unwrap().contains("--yes"));
        assert!(confirm("all goes", true, &mut screen).is_ok());
    }

    #[test]
    fn only_a_plain_yes_is_one() {
        assert!(["y\n", "Y", "yes\n", " YES "].into_iter().all(agrees));
        assert!(["", "\n", "n", "no", "yep", "y y"].into_iter().all(|answer| !agrees(answer)));
    }
}
