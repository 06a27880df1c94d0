//! A notary that remembers.

use super::locked;
use longhaul_domain::{Lineage, Process, ProcessId, Seal, Spec};
use longhaul_ports::{Here, Notary, SealFault};
use std::sync::{Arc, Mutex};

/// A notary that remembers what it sealed, and admits that at any time. Clones are the same notary.
#[derive(Clone, Debug, Default)]
pub struct FakeNotary {
    sealed: Arc<Mutex<Vec<Sealed>>>,
}

/// What a seal vouches for.
type Sealed = (ProcessId, Lineage, Arc<Spec>);

impl Notary for FakeNotary {
    fn seal(&self, process: &Process) -> Option<Seal> {
        let mut sealed = locked(&self.sealed);
        sealed.push((process.id, process.lineage.clone(), process.spec.clone()));
        Some(Seal((sealed.len() - 1).to_string()))
    }

    fn verify(&self, process: &Process) -> Result<(), SealFault> {
        let seal = process.seal.as_ref().ok_or(SealFault::Missing)?;
        let number: usize = seal.0.parse().map_err(|_| SealFault::Unreadable)?;
        let sealed = locked(&self.sealed);
        let (id, lineage, spec) = sealed.get(number).ok_or(SealFault::Altered)?;
        let is_same = (id, lineage, spec) == (&process.id, &process.lineage, &process.spec);
        if is_same { Ok(()) } else { Err(SealFault::Altered) }
    }

    fn admit(&self, process: &Process, here: &Here<'_>) -> Result<(), SealFault> {
        self.verify(process)?;
        let fits = here.offer.fits(here.node, &process.spec.placement);
        if fits { Ok(()) } else { Err(SealFault::Elsewhere { here: here.node.clone() }) }
    }
}
