//! The header that a device with offloads puts in front of every packet (virtio 1.3, 5.1.6, in the host's byte order).

pub(crate) use tun_rs::VIRTIO_NET_HDR_LEN as HEADER_LEN;

/// The checksum is left to the reader (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
const NEEDS_CHECKSUM: u8 = 1;

/// The header of a packet of which nothing is left to the kernel.
pub(crate) const NOTHING: [u8; HEADER_LEN] = [0; HEADER_LEN];

/// Takes the header off what was read and fills in the checksum if that was left to us. A segment of up to 64 KiB stays
/// whole. `None` if it is cut off.
pub(crate) fn finish(read: &mut [u8]) -> Option<&[u8]> {
    let (header, packet) = read.split_at_mut_checked(HEADER_LEN)?;
    if header[0] & NEEDS_CHECKSUM != 0 {
        let [start, offset] = [6, 8].map(|at| usize::from(u16::from_ne_bytes([header[at], header[at + 1]])));
        // The field holds the sum of the pseudo-header, so that it is summed up with the rest.
        let summed = packet.get_mut(start..)?;
        let checksum = !sum(summed);
        summed.get_mut(offset..offset + 2)?.copy_from_slice(&checksum.to_be_bytes());
    }
    Some(packet)
}

/// The sum of RFC 1071.
fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_be_bytes(last));
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_that_was_left_to_us_is_filled_in() {
        let mut read = vec![0; HEADER_LEN];
        read[0] = NEEDS_CHECKSUM;
        read[6..8].copy_from_slice(&4_u16.to_ne_bytes());
        read[8..10].copy_from_slice(&2_u16.to_ne_bytes());
        // Four bytes before the sum begins, then the example of RFC 1071 3 around a field of zeros.
        read.extend([9, 9, 9, 9, 0x00, 0x01, 0x00, 0x00, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        let packet = finish(&mut read).unwrap();
        assert_eq!(packet[6..8], (!0xddf2_u16).to_be_bytes());
        assert_eq!(packet[8..], [0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    }

    #[test]
    fn a_header_that_points_nowhere_is_dropped() {
        let mut read = vec![0xff; HEADER_LEN + 20];
        assert_eq!(finish(&mut read), None);
        assert_eq!(finish(&mut [0; 3]), None);
        assert_eq!(finish(&mut [0; HEADER_LEN + 1]), Some(&[0][..]));
    }
}
