//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections, and knows how many there may be.
#[derive(Debug)]
pub(super) struct Occupancy {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no place for one more connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("there are {0} connections, which is all there may be")]
    All(usize),
    #[error("there are {0} connections from this address, which is all it may have")]
    Address(usize),
}

/// The place of one connection, which is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    occupancy: Arc<Occupancy>,
    address: IpAddr,
}

impl Occupancy {
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, taken: Mutex::default() })
    }

    /// Takes a place for a connection from an address.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let address = owner(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            return Err(Full::All(self.most));
        }
        if taken.by_address.get(&address).is_some_and(|count| *count >= self.most_of_one) {
            return Err(Full::Address(self.most_of_one));
        }
        taken.all += 1;
        *taken.by_address.entry(address).or_default() += 1;
        Ok(Place { occupancy: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.occupancy.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// The address that stands for all of one host: with IPv6 a host has as many as it likes, all with the same first 64 bits.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_room_for_others_and_gets_its_places_back() {
        let occupancy = Occupancy::new(3, 2);
        let first = occupancy.enter(address("10.0.0.1")).unwrap();
        let _second = occupancy.enter(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(occupancy.enter(address("10.0.0.1")).unwrap_err(), Full::Address(2));
        let _other = occupancy.enter(address("10.0.0.2")).unwrap();
        assert_eq!(occupancy.enter(address("10.0.0.3")).unwrap_err(), Full::All(3));
        drop(first);
        let _again = occupancy.enter(address("10.0.0.1")).unwrap();
    }

    #[test]
    fn all_addresses_of_a_host_count_as_one_and_nothing_is_kept_of_those_who_left() {
        let occupancy = Occupancy::new(9, 1);
        let place = occupancy.enter(address("2001:db8:0:1::1")).unwrap();
        assert_eq!(occupancy.enter(address("2001:db8:0:1:f::2")).unwrap_err(), Full::Address(1));
        drop((place, occupancy.enter(address("2001:db8:0:2::1")).unwrap()));
        assert!(occupancy.taken.lock().unwrap().by_address.is_empty());
    }
}
