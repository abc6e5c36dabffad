//! Names that somebody may have meant. Pure.

/// How many changes of a letter still look like a typing error.
const MOST: usize = 3;

/// The known name nearest to `wanted`, if one is near.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = MOST.min(wanted.chars().count() / 2);
    let near =
        known.iter().map(|name| (strsim::levenshtein(wanted, name), *name)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, name)| name)
}

/// A question that names it.
#[must_use]
pub fn hint(wanted: &str, known: &[&str]) -> Option<String> {
    nearest(wanted, known).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near() {
        let known = ["orders", "payments", "audit"];
        assert_eq!(nearest("ordres", &known), Some("orders"));
        assert_eq!(nearest("payment", &known), Some("payments"));
        assert_eq!(nearest("xyz", &known), None);
        assert_eq!(nearest("a", &known), None, "one letter is nothing");
    }
}
