//! Names that somebody may have meant. Pure.

/// How many changes of a letter still look like a typing error.
const MOST: usize = 3;

/// The known name nearest to `wanted`, if one is near.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = MOST.min(wanted.chars().count() / 2);
    let near = known.iter().map(|name| (distance(wanted, name), *name)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, name)| name)
}

/// A question that names it.
#[must_use]
pub fn hint(wanted: &str, known: &[&str]) -> Option<String> {
    nearest(wanted, known).map(|name| format!("did you mean `{name}`?"))
}

/// Insertions, deletions and changes of letters between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (right, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(left != *right);
            diagonal = *cell;
            before = changed.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
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
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("abc", "")), (3, 3, 3));
    }
}
