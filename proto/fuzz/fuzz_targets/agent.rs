//! What an agent says is understood or refused with at least one field named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use vismae_proto::convert::{arrival_from_wire, report_from_wire};
use vismae_proto::v1::{self, agent_message};

fuzz_target!(|bytes: &[u8]| {
    let Ok(v1::AgentMessage { message: Some(message) }) = v1::AgentMessage::decode(bytes) else { return };
    let refused = match message {
        agent_message::Message::Hello(hello) => arrival_from_wire(&hello).err(),
        agent_message::Message::Task(event) => report_from_wire(event).err(),
        _ => None,
    };
    assert!(refused.is_none_or(|violations| violations.iter().count() > 0));
});
