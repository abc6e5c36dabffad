//! Changes of honest inputs, each known by a seed and a number: whoever has both has the input again.

use fastrand::Rng;

/// Most bytes of an input.
const LARGEST: usize = 1 << 18;

/// Bytes that stand at the edge of something.
const BYTES: [u8; 12] = [0, 1, 2, 9, 10, 13, 27, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
/// Numbers that stand at the edge of something.
const NUMBERS: [i64; 14] = [
    0,
    1,
    -1,
    127,
    128,
    255,
    32_768,
    65_535,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    1 << 53,
    i64::MAX,
    i64::MIN,
];
/// Values of JSON in the place of others.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "1e300",
    "-0.0",
    "18446744073709551615",
    "[[[[[[[[]]]]]]]]",
    "\"../../../etc\"",
    "\"\\u0000\\u001b[2J\"",
    "\"\\u202e\"",
    "{\"a\":{\"a\":{\"a\":{}}}}",
    "\"99991231-235959\"",
];

/// The input of this number.
#[must_use]
pub fn input(seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let honest = usize::try_from(number).ok().and_then(|number| seeds.get(number));
    if let Some(honest) = honest {
        return honest.clone();
    }
    // Numbers that lie side by side draw differently.
    let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let Some(honest) = rng.choice(seeds).filter(|_| rng.u8(..) >= 8) else { return noise(&mut rng) };
    let mut out = honest.clone();
    for _ in 0..=rng.usize(..6) {
        change(&mut out, seeds, &mut rng);
        out.truncate(LARGEST);
    }
    out
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    (0..rng.usize(..2_048)).map(|_| rng.u8(..)).collect()
}

/// A part of a text of so many bytes.
fn part(length: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let begin = rng.usize(..=length);
    let most = if rng.bool() { 16 } else { length };
    begin..(begin + rng.usize(..=most)).min(length)
}

fn change(out: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    if out.is_empty() {
        out.extend(noise(rng));
        return;
    }
    let at = rng.usize(..out.len());
    match rng.u8(..14) {
        0 => out[at] ^= 1 << rng.u8(..8),
        1 => out[at] = BYTES[rng.usize(..BYTES.len())],
        2 => out[at] = rng.u8(..),
        3 => out.truncate(at),
        4 => drop(out.drain(part(out.len(), rng))),
        5 => {
            let again = out[part(out.len(), rng)].to_vec();
            let times = if rng.u8(..16) == 0 { 1 + LARGEST / (again.len() + 1) / 4 } else { 1 };
            insert(out, at, &again.repeat(times));
        }
        6 => insert(out, at, &noise(rng)),
        7 => {
            let other = &seeds[rng.usize(..seeds.len())];
            let piece = other[part(other.len(), rng)].to_vec();
            insert(out, at, &piece);
        }
        8 => {
            let number = NUMBERS[rng.usize(..NUMBERS.len())];
            let width = 1 << rng.u8(..4);
            let mut bytes = number.to_le_bytes();
            if rng.bool() {
                bytes[..width].reverse();
            }
            let end = (at + width).min(out.len());
            out[at..end].copy_from_slice(&bytes[..end - at]);
        }
        9 | 10 => digits(out, at, rng),
        _ => value(out, at, rng),
    }
}

fn insert(out: &mut Vec<u8>, at: usize, piece: &[u8]) {
    out.splice(at..at, piece.iter().copied());
}

/// Another number in the place of the next one that is written in digits.
fn digits(out: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(begin) = (at..out.len()).find(|place| out[*place].is_ascii_digit()) else { return };
    let end = (begin..out.len()).find(|place| !out[*place].is_ascii_digit()).unwrap_or(out.len());
    let number = match rng.u8(..4) {
        0 => rng.i64(-200..200).to_string(),
        1 => VALUES[rng.usize(..VALUES.len())].to_owned(),
        _ => NUMBERS[rng.usize(..NUMBERS.len())].to_string(),
    };
    drop(out.splice(begin..end, number.into_bytes()));
}

/// Another value behind the next colon of a JSON document: a text, a number or a word.
fn value(out: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(colon) = (at..out.len()).find(|place| out[*place] == b':') else { return };
    let ends = |byte: u8| matches!(byte, b',' | b'}' | b']');
    let Some(end) = (colon + 1..out.len()).find(|place| ends(out[*place])) else { return };
    drop(out.splice(colon + 1..end, VALUES[rng.usize(..VALUES.len())].bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_are_an_input() {
        let seeds = vec![br#"{"a":1,"b":[2,3],"c":"x"}"#.to_vec(), b"another".to_vec()];
        assert_eq!((input(&seeds, 7, 0), input(&seeds, 7, 1)), (seeds[0].clone(), seeds[1].clone()));
        let all: std::collections::BTreeSet<_> = (2..2_000).map(|number| input(&seeds, 7, number)).collect();
        assert!(all.len() > 1_500, "{}", all.len());
        for number in 2..2_000 {
            let made = input(&seeds, 7, number);
            assert!(made.len() <= LARGEST && made == input(&seeds, 7, number));
        }
        assert_ne!(input(&seeds, 8, 100), input(&seeds, 7, 100));
    }
}
