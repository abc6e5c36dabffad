//! Moving a CRC past bytes that follow, without looking at them.
//!
//! A CRC is the remainder of a polynomial over GF(2): behind `n` more bytes, what a difference between two messages
//! makes of their CRCs is the difference times x^(8n). CRC-32C, RFC 3720 section B.4, bits reflected: the highest bit
//! of a number is the factor of x^0.

/// The polynomial of CRC-32C, reflected, without its highest term.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `difference`, the exclusive or of the CRCs of two messages of one length, when `length` bytes follow in both.
pub(crate) fn shift(difference: u32, mut length: usize) -> u32 {
    let mut shifted = difference;
    // x^8, then its squares.
    let mut power = 1 << (31 - 8);
    while length > 0 {
        if length & 1 == 1 {
            shifted = multiply(power, shifted);
        }
        power = multiply(power, power);
        length >>= 1;
    }
    shifted
}

/// The product of two polynomials, modulo that of CRC-32C.
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for term in (0..32).rev() {
        // Masks instead of branches, which no processor could foretell.
        product ^= b & (a >> term & 1).wrapping_neg();
        b = b >> 1 ^ POLYNOMIAL & (b & 1).wrapping_neg();
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_difference_behind_what_follows(
            heads in (1usize..80).prop_flat_map(|n| [prop::collection::vec(any::<u8>(), n), prop::collection::vec(any::<u8>(), n)]),
            rest in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let [one, other] = &heads;
            let whole = |head: &[u8]| crc32c::crc32c_append(crc32c::crc32c(head), &rest);
            let difference = crc32c::crc32c(one) ^ crc32c::crc32c(other);
            prop_assert_eq!(shift(difference, rest.len()), whole(one) ^ whole(other));
        }

        #[test]
        fn long_ways_are_those_of_the_library(difference: u32, length in 1u32..) {
            prop_assert_eq!(shift(difference, length as usize), crc32c::crc32c_combine(difference, 0, length as usize));
        }
    }
}
