//! The use cases in virtual time: a reference store, scripted children, no real second passes.

mod faults;
mod lifecycle;
mod queueing;
mod recovery;
mod reported;
mod waiting;
mod world;
