//! The decoders of the test of the corpora, for the fuzz targets.

#[path = "../tests/decoders"]
mod decoders {
    pub(crate) mod decoder;
}

/// Hands bytes to the decoder of that name, and panics where it breaks.
pub fn check(name: &str, bytes: &[u8]) {
    // That it is refused is as good as that it is taken.
    drop(decoders::decoder::check(name, bytes));
}
