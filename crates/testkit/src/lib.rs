//! Contract suites, fakes and generators for those who write an adapter of longhaul
