//! What the user of a stack may choose.

use core::ops::RangeInclusive;

/// The settings of a [`Stack`](crate::Stack). Those of its connections are [`Config`](crate::Config), given with each
/// connection or listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackConfig {
    /// The longest packet that the link takes, in bytes. Default 1500; at least 68 over IPv4 and 1280 over IPv6, where
    /// connections announce and send an MSS that fits. RFC 9293 3.7.1.
    pub mtu: u16,
    /// Whether the link cuts segments to the MSS and fills in TCP checksums: all connections then have
    /// [`Config::segmentation_offload`](crate::Config::segmentation_offload) and
    /// [`Config::checksum_offload`](crate::Config::checksum_offload). Default false.
    pub offload: bool,
    /// The hop limit of what we send. Default 64.
    pub hop_limit: u8,
    /// How many connections there may be, those that wait to be accepted or were released included. Beyond, SYNs are
    /// dropped and [`connect`](crate::Stack::connect) fails. Default 1,000,000.
    pub max_connections: usize,
    /// How many connections may be in TIME-WAIT, each some 100 bytes; beyond, the one that would end first ends at
    /// once. Default 65,536.
    pub max_time_wait: usize,
    /// How many answers without a connection (RST, acknowledgments in TIME-WAIT, ICMP) may wait to leave; what does not
    /// fit is dropped. Default 1024.
    pub max_replies: usize,
    /// How many datagrams may wait to leave. Default 1024.
    pub max_datagrams: usize,
    /// How many challenge ACKs a second may leave, all connections together (RFC 5961 7). Default 1000. Of these, a part
    /// that differs from second to second is held back, so that nobody can count them from outside.
    pub challenge_acks: u32,
    /// How many ICMP errors a second may leave (RFC 4443 2.4 (f)). Default 100.
    pub icmp_errors: u32,
    /// Whether echo requests are answered (RFC 1122 3.2.2.6). Default true.
    pub echo_replies: bool,
    /// The ports from which connections and datagram sockets get theirs if none is asked for. Default 49152 to 65535
    /// (RFC 6335 6).
    pub ephemeral_ports: RangeInclusive<u16>,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            mtu: 1500,
            offload: false,
            hop_limit: 64,
            max_connections: 1_000_000,
            max_time_wait: 65_536,
            max_replies: 1024,
            max_datagrams: 1024,
            challenge_acks: 1000,
            icmp_errors: 100,
            echo_replies: true,
            ephemeral_ports: 49_152..=65_535,
        }
    }
}
