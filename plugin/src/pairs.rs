//! Pairs of names as a command line has them, `SOURCE=TARGET`. Names may have any characters: `\=` is a `=` and `\\` a `\` of a
//! name. Pure.

use std::collections::BTreeMap;

/// One pair.
///
/// # Errors
/// What is wrong with the text, and how it is written.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let literal = match letter {
            '=' => {
                names.push(std::mem::take(&mut name));
                continue;
            }
            '\\' => letters.next().filter(|next| ['=', '\\'].contains(next)).ok_or_else(|| {
                format!("`{text}`: a `\\` stands before `=` or `\\` only; write `\\\\` where it is part of a name")
            })?,
            letter => letter,
        };
        name.push(literal);
    }
    names.push(name);
    match <[String; 2]>::try_from(names) {
        Ok([source, target]) if !source.is_empty() && !target.is_empty() => Ok((source, target)),
        Ok([source, _]) => {
            let missing = if source.is_empty() { "source" } else { "target" };
            Err(format!("`{text}` has no {missing}; write SOURCE=TARGET"))
        }
        Err(names) if names.len() < 2 => Err(format!("`{text}` has no `=`; write SOURCE=TARGET")),
        Err(_) => Err(format!("`{text}` has more than one `=`; write `\\=` where it is part of a name")),
    }
}

/// All pairs of a flag.
///
/// # Errors
/// The first source that stands there twice.
pub(crate) fn map_of(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    for (source, target) in pairs {
        if out.insert(source.clone(), target.clone()).is_some() {
            return Err(source.clone());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_any_characters() {
        for (text, source, target) in [
            ("shop=shop-2", "shop", "shop-2"),
            ("team/shop: a b=shop ü", "team/shop: a b", "shop ü"),
            (r"a\=b=c", "a=b", "c"),
            (r"a=b\=c\=", "a", "b=c="),
            (r"a\\=b", r"a\", "b"),
            (r"a\\\=b=c", r"a\=b", "c"),
        ] {
            assert_eq!(pair(text), Ok((source.to_owned(), target.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_by_name() {
        for (text, why) in [
            ("shop", "has no `=`"),
            (r"a\=b", "has no `=`"),
            ("", "has no `=`"),
            ("=b", "has no source"),
            ("a=", "has no target"),
            ("a=b=c", r"more than one `=`; write `\=`"),
            (r"a\b=c", r"write `\\`"),
            (r"a=b\", r"write `\\`"),
        ] {
            let refused = pair(text).unwrap_err();
            assert!(refused.contains(why) && refused.starts_with(&format!("`{text}`")), "{refused}");
        }
    }

    #[test]
    fn a_source_goes_to_one_target() {
        let pairs = |all: &[(&str, &str)]| {
            let all: Vec<_> = all.iter().map(|(source, target)| ((*source).to_owned(), (*target).to_owned())).collect();
            map_of(&all)
        };
        assert_eq!(pairs(&[("a", "b"), ("c", "d")]).unwrap().len(), 2);
        assert_eq!(pairs(&[("a", "b"), ("a", "d")]), Err("a".to_owned()));
    }
}
