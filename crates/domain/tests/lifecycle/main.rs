//! Tests of the lifecycle through the public API: a table of all situations and inputs, properties of random process
//! histories, and names and texts.

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
