//! Patterns of topics as a command line has them: separated by commas, or one by one. Pure.

/// The patterns of all values of a flag. A regular expression (after `~`) may have commas of its own: it is the rest of its value.
pub(crate) fn patterns(values: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for value in values {
        let mut rest = value.as_str();
        while let Some((first, more)) = rest.split_once(',').filter(|_| !rest.starts_with('~')) {
            out.push(first.to_owned());
            rest = more;
        }
        out.push(rest.to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_keeps_its_commas() {
        let of = |values: &[&str]| patterns(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a,b-*", "c"]), ["a", "b-*", "c"]);
        assert_eq!(of(&["~shop-[0-9]{1,3}"]), ["~shop-[0-9]{1,3}"]);
        assert_eq!(of(&["a,~shop-[0-9]{1,3}", "b"]), ["a", "~shop-[0-9]{1,3}", "b"]);
        assert!(of(&[]).is_empty());
    }
}
