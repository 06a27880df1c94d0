//! Every command block of the README runs and prints what it says.
