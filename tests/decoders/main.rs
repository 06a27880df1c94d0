//! Passes the corpora of the fuzz targets, and changed copies of the corpus files, to every decoder.
//!
//! `just fuzz` searches for more inputs. An input that reveals a defect becomes a file in `fuzz/seeds`.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking, its helpers too")]

mod decoder;

use decoder::{DECODERS, Decoder, check};
use std::fs;
use std::path::{Path, PathBuf};

/// Number of changed copies of corpus files that each decoder gets. `LONGHAUL_DECODERS_CHANGED` overrides it.
const CHANGED: u64 = 1_500;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"))
}

/// Returns the corpus files of a decoder, sorted by name.
fn corpus(decoder: &Decoder) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = fs::read_dir(root().join("seeds").join(decoder.name)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = directory.map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes))).collect()
}

/// A generator of pseudorandom numbers that are the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// Returns a changed copy of `seed`: shorter, mixed with another input, or different in a few bytes.
fn changed(draw: &mut Draw, seed: &[u8], other: &[u8]) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n\r=\"{}[],:-09.%\x1b";
    let mut bytes = seed.to_vec();
    for _ in 0..=draw.below(3) {
        let place = draw.below(bytes.len());
        match draw.below(6) {
            0 => bytes.truncate(place),
            1 => bytes = [&bytes[..place], &other[draw.below(other.len()).min(other.len())..]].concat(),
            2 => bytes.insert(place, TELLING[draw.below(TELLING.len())]),
            3 if !bytes.is_empty() => drop(bytes.remove(place)),
            _ => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = if draw.below(2) == 0 {
                        *byte ^ (1 << draw.below(8))
                    } else {
                        TELLING[draw.below(TELLING.len())]
                    };
                }
            }
        }
    }
    bytes
}

#[test]
fn corpora_contain_accepted_and_refused_inputs_of_each_decoder() {
    for decoder in &DECODERS {
        let verdicts: Vec<_> = corpus(decoder).iter().map(|(_, bytes)| check(decoder.name, bytes)).collect();
        assert!(
            verdicts.iter().any(Result::is_ok),
            "{} accepts no input of its corpus: {verdicts:?}",
            decoder.name
        );
        // The decoder of output files rejects nothing, because it reads damaged files as far as it can.
        let refuses = decoder.name != "output_files";
        assert_eq!(verdicts.iter().any(Result::is_err), refuses, "what {} refuses", decoder.name);
    }
}

#[test]
fn seeds_are_accepted_or_refused_according_to_their_names() {
    for decoder in &DECODERS {
        for (path, bytes) in corpus(decoder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let verdict = check(decoder.name, &bytes);
            let refused = name.starts_with("refused-");
            assert_eq!(verdict.is_err(), refused, "{} of {}: {verdict:?}", name, decoder.name);
        }
    }
}

#[test]
fn no_decoder_fails_on_mutated_inputs_of_the_corpora() {
    let asked = std::env::var("LONGHAUL_DECODERS_CHANGED").ok().and_then(|count| count.parse().ok());
    for decoder in &DECODERS {
        let corpus = corpus(decoder);
        let mut draw = Draw(0x2545_f491_4f6c_dd1d);
        for _ in 0..asked.unwrap_or(CHANGED) {
            let (seed, other) = (&corpus[draw.below(corpus.len())].1, &corpus[draw.below(corpus.len())].1);
            let bytes = changed(&mut draw, seed, other);
            let verdict = std::panic::catch_unwind(|| check(decoder.name, &bytes));
            assert!(verdict.is_ok(), "{} breaks at {:?}", decoder.name, String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn every_decoder_has_a_fuzz_target() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for Decoder { name, .. } in &DECODERS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no target {name}");
        let target = fs::read_to_string(root().join(format!("targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("check(\"{name}\"")), "the target {name} calls another decoder");
    }
}
