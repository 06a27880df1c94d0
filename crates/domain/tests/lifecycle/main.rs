//! The lifecycle from outside: a table of every situation and input, laws over random lives, and the words.

#[cfg(test)]
mod attention;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod records;
#[cfg(test)]
mod situations;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod transitions;
#[cfg(test)]
mod words;
