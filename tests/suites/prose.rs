//! Texts keep to docs/style.md: pages that were written by it have short sentences, none of the words that it rules out, links
//! that lead somewhere, and read easily.

use std::path::{Path, PathBuf};

use regex::Regex;

/// Pages that keep to the style sheet.
const PAGES: &[&str] = &[
    "README.md",
    "docs/engine.md",
    "docs/evidence.md",
    "docs/kubernetes.md",
    "docs/operations.md",
    "docs/runbook.md",
    "docs/style.md",
    "docs/validation.md",
];
/// Words of a sentence at most.
const LONGEST: usize = 30;
/// Flesch reading ease at least: plain English.
const EASE: f64 = 60.0;
/// What the style sheet rules out, as patterns.
const BANNED: &[&str] = &[
    r"\btells?\b",
    r"\btold\b",
    r"\bsays?\b",
    r"\b(deal|deals|dealt) out\b",
    r"\bcomes? to pass\b",
    r"\bgo(es)? on\b",
    r"\bstands? (in|at|here|there|once)\b",
    r"\bfor want of\b",
    r"\bat once\b",
    r"\bfor ever\b",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The paragraphs and list items of a page as plain words; no code blocks, tables, headings, pictures and comments.
fn paragraphs(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let (mut out, mut is_code) = (vec![String::new()], false);
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        let is_apart = is_code || ["```", "|", "#", "![", "<!--"].iter().any(|mark| line.starts_with(mark));
        let item = line.trim_start().strip_prefix("* ");
        if is_apart || line.trim().is_empty() || item.is_some() {
            out.push(String::new());
        }
        if !is_apart {
            let last = out.last_mut().unwrap();
            last.push(' ');
            last.push_str(item.unwrap_or(line).trim());
        }
    }
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let code = Regex::new(r"`[^`]*`").unwrap();
    let plain =
        |text: String| code.replace_all(&link.replace_all(&text, "$1"), "it").replace('*', "").trim().to_owned();
    out.into_iter().map(plain).filter(|text| !text.is_empty()).collect()
}

fn sentences(paragraph: &str) -> Vec<Vec<&str>> {
    let end = |word: &&str| word.ends_with(['.', '!', '?', ':', ';']);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.split_inclusive(end).map(<[&str]>::to_vec).collect()
}

/// Runs of vowels; an `e` at the end is silent.
fn syllables(word: &str) -> usize {
    let letters: String = word.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    let is_vowel = |letter: char| "aeiouy".contains(letter);
    let spoken = letters.strip_suffix('e').unwrap_or(&letters);
    let starts = spoken.chars().scan(false, |before, letter| {
        let begins = is_vowel(letter) && !*before;
        *before = is_vowel(letter);
        Some(begins)
    });
    starts.filter(|begins| *begins).count().max(1)
}

/// Flesch's formula (1948).
fn ease(page: &str) -> f64 {
    let paragraphs = paragraphs(page);
    let sentences: Vec<Vec<&str>> = paragraphs.iter().flat_map(|paragraph| sentences(paragraph)).collect();
    let words: usize = sentences.iter().map(Vec::len).sum();
    let spoken: usize = sentences.iter().flatten().map(|word| syllables(word)).sum();
    206.835 - 1.015 * words as f64 / sentences.len() as f64 - 84.6 * spoken as f64 / words as f64
}

#[test]
fn sentences_are_short_and_in_plain_words() {
    let banned: Vec<Regex> = BANNED.iter().map(|pattern| Regex::new(&format!("(?i){pattern}")).unwrap()).collect();
    let mut found = Vec::new();
    for page in PAGES {
        for paragraph in paragraphs(page) {
            for sentence in sentences(&paragraph) {
                let text = sentence.join(" ");
                if sentence.len() > LONGEST {
                    found.push(format!("{page}: {} words: {text}", sentence.len()));
                }
                let words = banned.iter().filter_map(|pattern| Some(pattern.find(&text)?.as_str()));
                found.extend(words.map(|word| format!("{page}: `{word}`: {text}")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn pages_read_easily() {
    for page in PAGES {
        let ease = ease(page);
        println!("{page}: reading ease {ease:.0}");
        assert!(ease >= EASE, "{page}: reading ease {ease:.1}");
    }
}

#[test]
fn the_readme_is_a_page() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = Regex::new(r"(?s)```.*?```").unwrap();
    let words = blocks.replace_all(&text, "").split_whitespace().count();
    assert!((600..=900).contains(&words), "{words} words");
}

/// Three figures of the README are those of the page that the benchmark writes.
#[test]
fn figures_of_the_readme_are_those_of_the_benchmark() {
    let of = |page: &str| std::fs::read_to_string(root().join(page)).unwrap();
    let (readme, bench) = (of("README.md"), of("docs/benchmark.md"));
    let shown = [
        ("| backup, without compression | ", "| backup, none, 1024 B | ", "kafka-consumer-perf-test"),
        ("| backup, zstd 3 | ", "| backup, zstd 3, 1024 B | ", "one core of zstd 3"),
        ("| restore | ", "| restore, 1024 B | ", "bare produce loop of the same batches"),
    ];
    for (row, measured, yardstick) in shown {
        let line = bench.lines().find(|line| line.starts_with(measured) && line.contains(yardstick)).unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let rate = cells[2].split(' ').next().unwrap();
        let wanted = format!("{row}{rate} | {} of ", cells[5]);
        assert!(readme.contains(&wanted), "README.md lacks: {wanted}");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let above = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "FORMAT.md"];
    let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let (mut seen, mut dead) = (0, Vec::new());
    for page in pages.chain(above.map(|name| root().join(name))) {
        let text = std::fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&text) {
            let target = found[1].split('#').next().unwrap().to_owned();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            seen += 1;
            if !page.parent().unwrap().join(&target).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 20 && dead.is_empty(), "{seen} links, these lead nowhere: {dead:?}");
}

/// The map for contributors names what is there.
#[test]
fn the_map_for_contributors_leads_somewhere() {
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let path = Regex::new(r"`((?:operator-lite|runner|plugin|tests|docs)/[^` ]*)`").unwrap();
    let named: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| path.captures_iter(line))
        .map(|found| found.extract::<1>().1[0])
        .collect();
    let dead: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(named.len() >= 12 && dead.is_empty(), "{} paths, these are not there: {dead:?}", named.len());
}
