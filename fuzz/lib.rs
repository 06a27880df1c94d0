//! The decoders of the test of the corpora, for the fuzz targets.

#[path = "../tests/decoders"]
mod decoders {
    pub(crate) mod decoder;
}

/// Passes bytes to the decoder with this name. Panics if the decoder is faulty.
pub fn check(name: &str, bytes: &[u8]) {
    // Both acceptance and rejection are correct.
    drop(decoders::decoder::check(name, bytes));
}
