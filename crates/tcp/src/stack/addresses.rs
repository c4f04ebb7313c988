//! The addresses that a stack has.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::{ListenerHandle, Stack, UdpHandle};
use crate::slab::Key;

impl Stack {
    /// Takes packets to this address from now on. The first address of each family is the source of connections
    /// that name none. Returns whether it is new and one that a host can have.
    pub fn add_address(&mut self, address: IpAddr) -> bool {
        if address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return false;
        }
        match address {
            IpAddr::V4(address) => self.first_v4 = self.first_v4.or(Some(address)),
            IpAddr::V6(address) => self.first_v6 = self.first_v6.or(Some(address)),
        }
        self.addresses.insert(address)
    }

    /// Takes no packets to this address any more, and sends none from it but those that wait to leave already. Returns
    /// whether there was such an address. If it was the first of its family, the lowest that is left takes its place.
    ///
    /// Its connections end without a word, as [`CloseReason::Unreachable`](crate::CloseReason::Unreachable): nothing may leave
    /// from there, and peers find out by their own time-outs. Listeners and datagram sockets that have this address alone
    /// are closed; those of all addresses stay. This looks at every connection.
    pub fn remove_address(&mut self, address: IpAddr) -> bool {
        if !self.addresses.remove(&address) {
            return false;
        }
        self.choose_first(address);
        let connections: Vec<Key> = self.sockets.keys().collect();
        for key in connections {
            if let Some(socket) = self.sockets.get_mut(key).filter(|socket| socket.connection.local().ip() == address) {
                socket.connection.lose_address();
                self.mark_ready(key);
            }
        }
        let at_address = |key: &Key| self.time_waits.get(*key).is_some_and(|it| it.tuple.local().ip() == address);
        let time_waits: Vec<Key> = self.time_waits.keys().filter(at_address).collect();
        for key in time_waits {
            self.end_time_wait(key);
        }
        let listeners: Vec<(IpAddr, Key)> = self.listening.iter().map(|(local, key)| (local.ip(), *key)).collect();
        for (local, key) in listeners {
            if local == address {
                self.close_listener(ListenerHandle(key));
            } else if let Some(socket) = self.listeners.get_mut(key) {
                socket.listener.forget_address(address);
            }
        }
        let bound: Vec<Key> =
            self.bound.iter().filter(|(local, _)| local.ip() == address).map(|(_, key)| *key).collect();
        for key in bound {
            self.close_udp(UdpHandle::of(key));
        }
        true
    }

    /// `gone` is none of ours any more.
    fn choose_first(&mut self, gone: IpAddr) {
        let mut left = self.addresses.iter();
        match gone {
            IpAddr::V4(gone) if self.first_v4 == Some(gone) => {
                self.first_v4 = left.find_map(|it| if let IpAddr::V4(it) = it { Some(*it) } else { None });
            }
            IpAddr::V6(gone) if self.first_v6 == Some(gone) => {
                self.first_v6 = left.find_map(|it| if let IpAddr::V6(it) = it { Some(*it) } else { None });
            }
            _ => {}
        }
    }
}
