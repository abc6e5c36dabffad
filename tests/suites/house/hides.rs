//! What product code must not hide: an error that becomes nothing, a variant that falls under `_`, and a decision that hangs on the
//! words of a message. Each may stand where a comment beside it says why.

use super::{is_product, product, sources};

/// How conversions end, whose only error is that the value has no such form.
const CONVERSIONS: [&str; 8] = ["parse", "try_from", "from_", "to_str", "checked_", "try_into", "strptime", "to_zoned"];

/// The code of each line, whether a comment stands beside it, and where it is.
fn lines(name: &str, text: &str) -> Vec<(String, bool, String)> {
    let (mut out, mut before) = (Vec::new(), false);
    for (number, line) in product(text).into_iter().enumerate() {
        let comment = line.trim_start().starts_with("//");
        let code = line.split("//").next().unwrap_or_default().to_owned();
        out.push((code, line.contains("//") || before, format!("{name}:{}", number + 1)));
        before = comment;
    }
    out
}

fn all() -> impl Iterator<Item = Vec<(String, bool, String)>> {
    sources().into_iter().filter(|(name, _)| is_product(name)).map(|(name, text)| lines(&name, &text))
}

/// What is called last before this place: `parse` of `text.parse::<u8>()`.
fn called(before: &str) -> &str {
    let mut depth = 0;
    for (at, character) in before.char_indices().rev() {
        match character {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let path = before[..at].trim_end_matches(['>', ':']);
            let path = path.rsplit_once("::<").filter(|_| before[..at].ends_with('>')).map_or(path, |(path, _)| path);
            let start = path.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |place| place + 1);
            return &path[start..];
        }
    }
    ""
}

fn swallows(code: &str) -> bool {
    code.match_indices(".ok()").any(|(at, _)| {
        let called = called(&code[..at]);
        // Where the call stands on the line before, the line begins with it.
        !CONVERSIONS.iter().any(|known| called.starts_with(known))
    })
}

#[test]
fn no_error_becomes_nothing_without_a_reason() {
    let mut bad = Vec::new();
    for lines in all() {
        bad.extend(lines.into_iter().filter(|(code, reason, _)| !reason && swallows(code)).map(|(.., place)| place));
    }
    assert!(bad.is_empty(), "`.ok()` drops an error: handle it, or say beside it why nothing is lost: {bad:#?}");
}

/// Whether an error becomes a value that was not asked for: one that is not looked at, or that of a text that does not read.
fn invents(code: &str) -> bool {
    let unseen = [".unwrap_or_else(|_|", ".map_or_else(|_|", ".or_else(|_| Ok("].iter().any(|call| code.contains(call));
    let of_text = [".unwrap_or(", ".map_or("]
        .iter()
        .any(|call| code.match_indices(call).any(|(at, _)| ["parse", "from_str"].contains(&called(&code[..at]))));
    unseen || of_text
}

#[test]
fn no_error_becomes_a_value_without_a_reason() {
    let mut bad = Vec::new();
    for lines in all() {
        bad.extend(lines.into_iter().filter(|(code, reason, _)| !reason && invents(code)).map(|(.., place)| place));
    }
    assert!(bad.is_empty(), "an error becomes a value: handle it, or say beside it why that is right: {bad:#?}");
}

/// The patterns of the arms before this one, of the same `match`.
fn arms_before(lines: &[(String, bool, String)], at: usize) -> Vec<&str> {
    let depth = |code: &str| code.len() - code.trim_start().len();
    let own = depth(&lines[at].0);
    let before = lines[..at].iter().rev().map(|(code, ..)| code.as_str()).filter(|code| !code.trim().is_empty());
    before
        .take_while(|code| depth(code) >= own)
        .filter(|code| depth(code) == own)
        .map(|code| code.trim().split("=>").next().unwrap_or_default())
        .collect()
}

/// Whether a pattern names a variant of a type by its path: `Answer::Point(line)`. A number, a text or an `Option` has no list of
/// variants that could grow.
fn names_variant(pattern: &str) -> bool {
    pattern.match_indices("::").any(|(at, _)| {
        let before = pattern[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let mut after = pattern[at + 2..].chars();
        let first = after.next().is_some_and(char::is_uppercase);
        before && first && after.next().is_some_and(char::is_lowercase)
    })
}

#[test]
fn no_variant_is_passed_over_without_a_reason() {
    let mut bad = Vec::new();
    for lines in all() {
        for (at, (code, reason, place)) in lines.iter().enumerate() {
            let Some(arm) = code.trim_start().strip_prefix("_ =>") else { continue };
            let is_error = ["Err(", "failed(", "Failure::new("].iter().any(|word| arm.contains(word));
            if !reason && !is_error && arms_before(&lines, at).into_iter().any(names_variant) {
                bad.push(place.clone());
            }
        }
    }
    assert!(bad.is_empty(), "`_` takes variants that come later, too: name them, or say beside it why: {bad:#?}");
}

/// How many lines a name is followed.
const NEAR: usize = 25;

/// The name that a message gets here: `text` of `let text = &condition.message;`.
fn renamed(code: &str) -> Option<String> {
    let (name, value) = code.trim_start().strip_prefix("let ")?.split_once(" = ")?;
    let value = value.trim_end_matches([';', ' ']);
    let is_message =
        value.ends_with(".message") || value.ends_with(".message.as_str()") || value.ends_with(".message.clone()");
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_message && is_name).then(|| name.to_owned())
}

/// Whether the words of a text of this name are looked into.
fn reads(code: &str, name: &str) -> bool {
    const LOOKS: [&str; 8] =
        ["contains(", "starts_with(", "ends_with(", "split(", "split_once(", "strip_prefix(", "find(", "parse"];
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let after = code[at + name.len()..].strip_prefix('.');
        is_whole && after.is_some_and(|after| LOOKS.iter().any(|look| after.starts_with(look)))
    })
}

/// Codes, reasons and causes are for programs; words are for people, and change.
#[test]
fn no_decision_hangs_on_the_words_of_a_message() {
    let mut bad = Vec::new();
    for lines in all() {
        // A message may go by another name for some lines.
        let mut names = vec![("message".to_owned(), usize::MAX)];
        for (at, (code, reason, place)) in lines.into_iter().enumerate() {
            names.retain(|(_, until)| at <= *until);
            names.extend(renamed(&code).map(|name| (name, at + NEAR)));
            if names.iter().any(|(name, _)| reads(&code, name)) && !reason {
                bad.push(place);
            }
        }
    }
    assert!(bad.is_empty(), "a message is read for a decision: use its code, reason or cause: {bad:#?}");
}

/// Whether every text but one counts as false here.
fn takes_others_for_false(code: &str) -> bool {
    ["== \"true\"", "!= \"true\"", "== Some(\"true\")", "!= Some(\"true\")"].iter().any(|form| code.contains(form))
}

/// `True`, `1` or `yes` is no false: whoever writes it is told which two words there are.
#[test]
fn no_text_is_false_because_it_is_not_the_word_true() {
    let mut bad = Vec::new();
    for lines in all() {
        let found = lines.into_iter().filter(|(code, reason, _)| !reason && takes_others_for_false(code));
        bad.extend(found.map(|(.., place)| place));
    }
    assert!(bad.is_empty(), "parse it and refuse other words, or say beside it who writes it: {bad:#?}");
}

/// Whether a closure or a function that takes a failure of the system passes its words on.
fn passes_words_on(code: &str) -> bool {
    let takes = ["io::Error)", "io::Error|", "io::Error,", "io::Error {"].iter().any(|form| code.contains(form));
    takes && ["error.to_string()", "{error}", "e.to_string()"].iter().any(|form| code.contains(form))
}

/// What the system says in its own words leaves by no line. What comes out of a program, the harness looks into.
#[test]
fn words_of_the_system_stand_in_one_table() {
    let mut bad = Vec::new();
    for lines in all() {
        let found = lines.into_iter().filter(|(code, _, place)| {
            let in_table = place.contains("contract/src/system_words.rs");
            code.contains("os error") && !in_table || passes_words_on(code)
        });
        bad.extend(found.map(|(.., place)| place));
    }
    assert!(bad.is_empty(), "use contract::words::of_system or of_connection: {bad:#?}");
}

#[test]
fn the_rules_find_what_they_are_for() {
    assert!(passes_words_on("let io = |error: std::io::Error| bad(error.to_string());"));
    assert!(takes_others_for_false("options.remove(name).is_some_and(|value| value == \"true\")"));
    assert!(!takes_others_for_false("value.parse::<bool>()"));
    for bad in ["let a = api.get(x).await.ok()?;", "serde_json::from_str(x)?.read().ok()", "        .ok()"] {
        assert!(swallows(bad), "{bad}");
    }
    for good in ["x.parse().ok()", "x.parse::<u8>().ok()", "u32::try_from(a.len()).ok()?", "T::from_second(f(x)).ok()"]
    {
        assert!(!swallows(good), "{good}");
    }
    for bad in
        ["let a = b.unwrap_or_else(|_| 1);", "let a = text.parse().unwrap_or(0);", "x.parse::<u8>().map_or(true, f)"]
    {
        assert!(invents(bad), "{bad}");
    }
    for good in ["a.unwrap_or(0)", "u8::try_from(a).unwrap_or(u8::MAX)", "a.unwrap_or_else(|error| told(error))"] {
        assert!(!invents(good), "{good}");
    }
    assert_eq!(renamed("    let text = &condition.message;").as_deref(), Some("text"));
    assert!(reads("text.split(':')", "text") && reads("condition.message.split(':')", "message"));
    assert!(!reads("context.split(':')", "text") && !reads("message.len()", "message"));
    assert!(names_variant("Answer::Point(line)") && names_variant("(Kind::Pkcs12, _)"));
    assert!(!names_variant("Some(code::FENCED)") && !names_variant("0 | 1") && !names_variant("Some(x)"));
    let text = "    match a {\n        A::One => {\n            go(B::Two);\n        }\n        _ => {}\n    }\n";
    let lines = lines("a.rs", text);
    assert!(arms_before(&lines, 4).into_iter().any(names_variant));
}
