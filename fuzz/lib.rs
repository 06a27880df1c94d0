//! The decoders that the fuzz targets call. The test of the fuzz corpora calls the same decoders.

#[path = "../tests/decoders"]
mod decoders {
    pub(crate) mod decoder;
}

/// Passes bytes to the decoder with this name. Panics if the decoder has a defect.
pub fn check(name: &str, bytes: &[u8]) {
    // The result is ignored, because a decoder may accept or reject the bytes.
    drop(decoders::decoder::check(name, bytes));
}
