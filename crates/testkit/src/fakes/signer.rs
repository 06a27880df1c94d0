//! A launch signer that remembers the launches that it signed.

use super::locked;
use longhaul_domain::{LaunchSignature, Lineage, Process, ProcessId, Spec};
use longhaul_ports::{LaunchSigner, LaunchTarget, SignatureError};
use std::sync::{Arc, Mutex};

/// A launch signer that remembers the launches that it signed. Signatures never expire. Clones share the same memory.
#[derive(Clone, Debug, Default)]
pub struct FakeSigner {
    sealed: Arc<Mutex<Vec<SignedLaunch>>>,
}

/// The facts that a signature covers.
type SignedLaunch = (ProcessId, Lineage, Arc<Spec>);

impl LaunchSigner for FakeSigner {
    fn sign(&self, process: &Process) -> Option<LaunchSignature> {
        let mut sealed = locked(&self.sealed);
        sealed.push((process.id, process.lineage.clone(), process.spec.clone()));
        Some(LaunchSignature((sealed.len() - 1).to_string()))
    }

    fn verify(&self, process: &Process) -> Result<(), SignatureError> {
        let launch_signature = process.signature.as_ref().ok_or(SignatureError::Missing)?;
        let number: usize = launch_signature.0.parse().map_err(|_| SignatureError::Unreadable)?;
        let sealed = locked(&self.sealed);
        let (id, lineage, spec) = sealed.get(number).ok_or(SignatureError::Altered)?;
        let is_same = (id, lineage, spec) == (&process.id, &process.lineage, &process.spec);
        if is_same { Ok(()) } else { Err(SignatureError::Altered) }
    }

    fn admit(&self, process: &Process, here: &LaunchTarget<'_>) -> Result<(), SignatureError> {
        self.verify(process)?;
        let fits = here.offer.fits(here.node, &process.spec.placement);
        if fits { Ok(()) } else { Err(SignatureError::WrongNode { here: here.node.clone() }) }
    }
}
