use super::*;
use proptest::prelude::*;

const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

proptest! {
    #[test]
    fn every_codec_round_trips(data in proptest::collection::vec(any::<u8>(), 0..200_000)) {
        for codec in ALL {
            let (mut packed, mut plain) = (Vec::new(), Vec::new());
            Compressor::new(codec, None).compress(&data, &mut packed).unwrap();
            Decompressor::default().decompress(codec, &packed, data.len(), &mut plain).unwrap();
            prop_assert_eq!(&plain, &data, "{}", codec.name());
        }
    }

    #[test]
    fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        for codec in ALL {
            let mut plain = Vec::new();
            drop(Decompressor::default().decompress(codec, &data, 1 << 20, &mut plain));
            prop_assert!(plain.len() <= (1 << 20) + STEP);
        }
    }
}

#[test]
fn blocks_of_archives_round_trip() {
    // Three LZ4 blocks; the second half does not compress.
    let mut state = 7_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let data: Vec<u8> = b"lorem ipsum ".iter().copied().cycle().take(1_300_000).chain(noise.take(1_300_000)).collect();
    for codec in ALL {
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        Compressor::for_blocks(codec, None).compress(&data, &mut packed).unwrap();
        Decompressor::default().decompress(codec, &packed, data.len(), &mut plain).unwrap();
        assert!(plain == data, "{}", codec.name());
    }
}

#[test]
fn output_over_the_limit_is_refused() {
    let bomb = vec![0u8; 4 << 20];
    for codec in ALL {
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        Compressor::new(codec, None).compress(&bomb, &mut packed).unwrap();
        let result = Decompressor::default().decompress(codec, &packed, 1 << 20, &mut plain);
        assert_eq!(result, Err(BatchError::TooLarge { limit: 1 << 20 }), "{}", codec.name());
    }
}

#[test]
fn cut_off_input_is_an_error() {
    let data: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        Compressor::new(codec, None).compress(&data, &mut packed).unwrap();
        packed.truncate(packed.len() / 2);
        assert!(Decompressor::default().decompress(codec, &packed, 1 << 30, &mut plain).is_err(), "{}", codec.name());
    }
}

#[test]
fn raw_snappy_is_read() {
    let data = b"raw snappy raw snappy raw snappy".repeat(40);
    let packed = snap::raw::Encoder::new().compress_vec(&data).unwrap();
    let mut plain = Vec::new();
    Decompressor::default().decompress(Codec::Snappy, &packed, 1 << 20, &mut plain).unwrap();
    assert_eq!(plain, data);
}

#[test]
fn a_used_decompressor_recovers_from_damage() {
    let mut packed = Vec::new();
    Compressor::new(Codec::Zstd, Some(3)).compress(b"hello hello hello", &mut packed).unwrap();
    let (mut decompressor, mut plain) = (Decompressor::default(), Vec::new());
    assert!(decompressor.decompress(Codec::Zstd, &packed[..packed.len() - 3], 100, &mut plain).is_err());
    decompressor.decompress(Codec::Zstd, &packed, 100, &mut plain).unwrap();
    assert_eq!(plain, b"hello hello hello");
}
