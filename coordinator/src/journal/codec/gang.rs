//! The gang of a job that has slots.

use std::collections::BTreeMap;
use std::time::Duration;

use vismae_core::device::Device;
use vismae_core::gang::{End, Formation, Gang, Member, MemberState, Short, Spent};
use vismae_core::ids::{Generation, SlotId, WorkerId};
use vismae_core::spec::Demand;
use vismae_core::time::MonoTime;
use vismae_proto::state;

use super::job::{
    duration, read_failure, read_figures, read_why, wire_duration, write_failure, write_figures, write_why,
};
use super::{Fault, date, fault, moment, required};

pub(super) fn write_gang(gang: &Gang) -> state::Gang {
    let formation = gang.formation.as_ref();
    state::Gang {
        attempt: gang.attempt,
        place_time: Some(date(gang.seated)),
        demand: Some(match gang.demand {
            Demand::Group { at_most, .. } => state::gang::Demand::Group(at_most),
            Demand::Crew { at_most } => state::gang::Demand::Crew(at_most),
        }),
        at_least: Some(gang.demand.at_least()),
        members: gang.members.iter().map(|(number, member)| write_member(*number, member)).collect(),
        next_member: Some(gang.next_member),
        generation: formation.map(|formation| formation.generation.0),
        ranks: formation.map(|formation| formation.ranks.clone()).unwrap_or_default(),
        urgent: formation.is_some_and(|formation| formation.urgent),
        seat_time: Some(date(gang.seated)),
        begin_time: gang.began.map(date),
        starting: Some(wire_duration(gang.spent.starting)),
        working: Some(wire_duration(gang.spent.working)),
        setbacks: gang.setbacks,
        short: gang.short.as_ref().map(write_short),
        unlucky: gang.unlucky,
    }
}

pub(super) fn read_gang(wire: state::Gang) -> Result<Gang, Fault> {
    let placed = moment(wire.place_time)?;
    let seated = wire.seat_time.map_or(Ok(placed), |time| moment(Some(time)))?;
    let time = |wire: Option<prost_types::Duration>| wire.map_or(Ok(Duration::ZERO), duration);
    let members = (0..).zip(wire.members).map(|(place, member)| read_member(place, seated, member));
    let members: BTreeMap<u32, Member> = members.collect::<Result<_, _>>()?;
    let all = || members.keys().copied().collect();
    Ok(Gang {
        attempt: wire.attempt,
        seated,
        began: wire.begin_time.map(|time| moment(Some(time))).transpose()?,
        spent: Spent { starting: time(wire.starting)?, working: time(wire.working)? },
        demand: match required(wire.demand, "demand")? {
            state::gang::Demand::Group(at_most) => {
                Demand::Group { at_least: wire.at_least.unwrap_or(at_most), at_most }
            }
            state::gang::Demand::Crew(at_most) => Demand::Crew { at_most },
        },
        formation: wire.generation.map(|generation| Formation {
            generation: Generation(generation),
            ranks: if wire.ranks.is_empty() { all() } else { wire.ranks },
            urgent: wire.urgent,
        }),
        next_member: wire.next_member.unwrap_or(members.len() as u32),
        members,
        setbacks: wire.setbacks,
        furthest: BTreeMap::new(),
        short: wire.short.map(|short| read_short(*short)).transpose()?,
        broken: None,
        unlucky: wire.unlucky,
        // A coordinator that takes over tries at once.
        recruits_after: seated,
        stalls: BTreeMap::new(),
        formed: seated,
        ratings: BTreeMap::new(),
        notices: Vec::new(),
    })
}

fn write_short(short: &Short) -> Box<state::Stopping> {
    Box::new(state::Stopping { since: Some(date(short.since)), ..write_why(&short.why) })
}

fn read_short(wire: state::Stopping) -> Result<Short, Fault> {
    Ok(Short { since: moment(wire.since)?, why: read_why(wire.why, wire.grounds)? })
}

fn write_member(number: u32, member: &Member) -> state::Member {
    use state::member::State;
    state::Member {
        number: Some(number),
        worker: member.slot.worker.to_string(),
        slot: member.slot.index,
        device: member.device.to_string(),
        seat_time: Some(date(member.seated)),
        join_time: member.joined.map(date),
        state: Some(match &member.state {
            MemberState::Starting => State::Starting(state::Nothing {}),
            MemberState::Ready { store_address, excluded } => {
                State::Ready(state::Ready { store_address: store_address.clone(), excluded: *excluded })
            }
            MemberState::Leaving { by } => {
                State::Leaving(state::Leaving { by: by.as_ref().map(ToString::to_string).unwrap_or_default() })
            }
            MemberState::Over(End::Succeeded(figures)) => State::Succeeded(write_figures(figures)),
            MemberState::Over(End::Failed(failure)) => State::Failed(write_failure(failure)),
            MemberState::Over(End::Stopped) => State::Stopped(state::Nothing {}),
        }),
    }
}

fn read_member(place: u32, gang_seated: MonoTime, wire: state::Member) -> Result<(u32, Member), Fault> {
    use state::member::State;
    let seated = wire.seat_time.map_or(Ok(gang_seated), |time| moment(Some(time)))?;
    let joined = wire.join_time.map(|time| moment(Some(time))).transpose()?;
    let member = Member {
        slot: SlotId { worker: WorkerId::new(wire.worker).map_err(fault)?, index: wire.slot },
        device: match wire.device.as_str() {
            "" => Device::Cpu,
            device => device.parse().map_err(fault)?,
        },
        state: match required(wire.state, "member state")? {
            State::Starting(state::Nothing {}) => MemberState::Starting,
            State::Ready(state::Ready { store_address, excluded }) => MemberState::Ready { store_address, excluded },
            State::Leaving(state::Leaving { by }) => MemberState::Leaving {
                by: Some(by).filter(|by| !by.is_empty()).map(|by| by.parse().map_err(fault)).transpose()?,
            },
            State::Succeeded(figures) => MemberState::Over(End::Succeeded(read_figures(figures))),
            State::Failed(failure) => MemberState::Over(End::Failed(read_failure(failure)?)),
            State::Stopped(state::Nothing {}) => MemberState::Over(End::Stopped),
        },
        seated,
        // Whatever is waited for, a coordinator that takes over waits for it anew.
        since: seated,
        joined,
        trained: joined.is_some(),
        trial: 0,
        aside: None,
        hangs: 0,
    };
    Ok((wire.number.unwrap_or(place), member))
}
