//! The definitions have every field that is documented for their kinds, under the documented name, and no other that is
//! not known to be ours: `documented.txt` is the list.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use api::fields::of_kind;

/// What stands in front of a line: `+` ours, `-` not here yet, neither for a field that must be here.
type Lines<'a> = Vec<(char, &'a str)>;

/// Blocks by name.
type Blocks<'a> = BTreeMap<&'a str, Lines<'a>>;
/// A kind, its group, and its lines.
type Kind<'a> = (&'a str, &'a str, Lines<'a>);

/// Reads the list.
fn read(text: &str) -> (Blocks<'_>, Vec<Kind<'_>>) {
    let (mut blocks, mut kinds) = (BTreeMap::new(), Vec::new());
    for part in text.split("\n\n") {
        let mut lines = part.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let Some(head) = lines.next() else { continue };
        let lines: Lines<'_> = lines
            .map(|line| match line.split_once(' ') {
                Some((mark, path)) => (mark.chars().next().unwrap(), path),
                None => ('=', line),
            })
            .collect();
        let words: Vec<_> = head.split(' ').collect();
        if words[0] == "=" {
            blocks.insert(words[1], lines);
        } else {
            kinds.extend(words[2..].iter().map(|group| (words[1], *group, lines.clone())));
        }
    }
    (blocks, kinds)
}

/// The paths that a line means.
fn expand(blocks: &Blocks<'_>, path: &str) -> Vec<String> {
    if let Some((before, name)) = path.split_once('@') {
        let block = &blocks[name];
        return block.iter().flat_map(|(_, line)| expand(blocks, &format!("{before}{line}"))).collect();
    }
    match path.split_once('{') {
        None => vec![path.to_owned()],
        Some((before, rest)) => {
            let names = rest.strip_suffix('}').unwrap();
            names.split(',').map(|name| format!("{before}{name}")).collect()
        }
    }
}

/// Fields that have no fields of their own.
fn leaves(kind: &str, group: &str) -> BTreeSet<String> {
    let all: BTreeSet<_> = of_kind(group, kind).unwrap().into_iter().map(|field| field.path).collect();
    let is_leaf = |path: &&String| {
        let inner = [".", "[]."].map(|dot| format!("{path}{dot}"));
        !all.iter().any(|other| inner.iter().any(|inner| other.starts_with(inner)))
    };
    all.iter().filter(is_leaf).cloned().collect()
}

#[test]
fn every_documented_field_has_its_documented_name() {
    let (blocks, kinds) = read(include_str!("documented.txt"));
    assert_eq!(kinds.len(), 9, "each kind that others documented is listed");
    for (kind, group, lines) in kinds {
        let paths = |marks: &[char]| -> BTreeSet<String> {
            let marked = lines.iter().filter(|(mark, _)| marks.contains(mark));
            marked.flat_map(|(_, path)| expand(&blocks, path)).collect()
        };
        let ours = leaves(kind, group);
        let missing: Vec<_> = paths(&['=', '+']).difference(&ours).cloned().collect();
        assert!(missing.is_empty(), "{kind} of {group} lacks {missing:?}");
        let unlisted: Vec<_> = ours.difference(&paths(&['=', '+'])).cloned().collect();
        assert!(unlisted.is_empty(), "{kind} of {group} has fields that documented.txt does not list: {unlisted:?}");
        let come: Vec<_> = paths(&['-']).intersection(&ours).cloned().collect();
        assert!(come.is_empty(), "{kind} of {group} has {come:?} now: take the '-' away in documented.txt");
    }
}
