//! Converts nodes to the views that clients get, and placement requests to placements.

use crate::convert::rfc3339;
use crate::error::ApiError;
use longhaul_domain::{Capability, NodeId, Placement, Timestamp};
use longhaul_engine::ports::{KnownNode, Presence};
use longhaul_wire::api::{LaunchRequest, NodeListing, NodeView};

/// Maximum number of labels in a placement.
const MAX_LABELS: usize = 20;

/// Converts nodes to a list for clients. `own` is the node that sends the reply.
pub(crate) fn nodes(known: &[KnownNode], own: &NodeId, now: Timestamp) -> NodeListing {
    NodeListing { nodes: known.iter().map(|known| node(known, own)).collect(), at: rfc3339(now) }
}

/// Converts a node to a view for clients. `own` is the node that sends the reply.
pub(crate) fn node(known: &KnownNode, own: &NodeId) -> NodeView {
    let (presence, lease_until, lost_at) = match known.presence {
        Presence::Present { until } => ("here", until, None),
        Presence::Unreachable { since, lost_at } => ("unreachable", Some(since), Some(lost_at)),
        Presence::Lost { since } => ("lost", Some(since), None),
        Presence::Left => ("left", None, None),
    };
    NodeView {
        id: known.facts.id.to_string(),
        own: known.facts.id == *own,
        presence: presence.to_owned(),
        draining: known.draining,
        labels: known.offer.labels.iter().map(ToString::to_string).collect(),
        address: known.offer.address.clone(),
        roots: known.offer.roots,
        version: known.facts.version.clone(),
        lease_until: lease_until.map(rfc3339),
        lost_at: lost_at.map(rfc3339),
    }
}

/// Returns the placement that a launch request describes.
pub(crate) fn placement(request: &LaunchRequest) -> Result<Placement, ApiError> {
    let asked = [request.node.is_some(), !request.node_labels.is_empty(), request.any_node];
    match asked.into_iter().filter(|asked| *asked).count() {
        0 => return Ok(Placement::Here),
        1 if request.reported.is_some() => {
            return Err(ApiError::invalid(
                "placement",
                "reported work cannot be assigned to a node, because \
                longhaul does not execute it",
            ));
        }
        1 => {}
        _ => {
            return Err(ApiError::invalid(
                "placement",
                "more than one of `node`, `node_labels` and `any_node` is \
             given",
            )
            .help("give one of `node`, `node_labels` and `any_node`"));
        }
    }
    if let Some(node) = &request.node {
        return Ok(Placement::Node(node.parse::<NodeId>()?));
    }
    if request.any_node {
        return Ok(Placement::Anywhere);
    }
    if request.node_labels.len() > MAX_LABELS {
        let count = request.node_labels.len();
        return Err(ApiError::invalid(
            "placement",
            format!("there are {count} labels; the maximum is {MAX_LABELS}"),
        ));
    }
    let mut labels: Vec<Capability> =
        request.node_labels.iter().map(|label| label.parse()).collect::<Result<_, _>>()?;
    // The labels are sorted, so that placements with the same labels are equal regardless of the order in the request.
    labels.sort();
    labels.dedup();
    Ok(Placement::Labels(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_engine::ports::NodeDescriptor;
    use longhaul_wire::api::ReportedRequest;

    #[test]
    fn placement_is_said_in_one_way_and_of_commands_only() {
        let named = LaunchRequest { node: Some("b".into()), ..LaunchRequest::default() };
        assert_eq!(placement(&named).unwrap(), Placement::Node(NodeId::new("b").unwrap()));
        assert_eq!(placement(&LaunchRequest::default()).unwrap(), Placement::Here);
        let any = LaunchRequest { any_node: true, ..LaunchRequest::default() };
        assert_eq!(placement(&any).unwrap(), Placement::Anywhere);
        assert!(placement(&LaunchRequest { any_node: true, ..named.clone() }).is_err());
        assert!(placement(&LaunchRequest { node_labels: vec!["gpu".into()], ..any.clone() }).is_err());
        assert!(placement(&LaunchRequest { reported: Some(ReportedRequest::default()), ..any }).is_err());
        assert!(placement(&LaunchRequest { node: Some(String::new()), ..named }).is_err());
    }

    #[test]
    fn labels_are_a_set() {
        let asked = |labels: &[&str]| {
            let node_labels = labels.iter().map(|label| (*label).to_owned()).collect();
            placement(&LaunchRequest { node_labels, ..LaunchRequest::default() })
        };
        assert_eq!(asked(&["os=linux", "gpu", "gpu"]).unwrap(), asked(&["gpu", "os=linux"]).unwrap());
        assert!(asked(&[""]).is_err());
        assert!(asked(&["l"; MAX_LABELS + 1]).is_err());
    }

    #[test]
    fn each_presence_has_its_word_and_its_moments() {
        let id = NodeId::new("a").unwrap();
        let facts = NodeDescriptor { id: id.clone(), home: None, boot: "b".into(), version: "1".into() };
        let shown = |presence| {
            let known = KnownNode { presence, draining: true, ..KnownNode::of(facts.clone()) };
            let view = node(&known, &id);
            assert!(view.own && view.draining);
            (view.presence, view.lease_until, view.lost_at)
        };
        let at = |second: u8| Some(format!("1970-01-01T00:00:0{second}.000Z"));
        let (one, two) = (Timestamp(1_000), Timestamp(2_000));
        assert_eq!(shown(Presence::Present { until: None }), ("here".into(), None, None));
        assert_eq!(shown(Presence::Present { until: Some(one) }), ("here".into(), at(1), None));
        let unreachable = Presence::Unreachable { since: one, lost_at: two };
        assert_eq!(shown(unreachable), ("unreachable".into(), at(1), at(2)));
        assert_eq!(shown(Presence::Lost { since: one }), ("lost".into(), at(1), None));
        assert_eq!(shown(Presence::Left), ("left".into(), None, None));
    }
}
