//! Damage in the write-ahead log, which SQLite does not report: it reads up to the first frame
//! that is not whole and takes the rest for the remains of a crash.
//!
//! A crash can leave one torn transaction at the end, and that one was never acknowledged: with
//! `synchronous = full` the next is only begun after it was synced. So if two transactions end
//! behind the first broken frame, an acknowledged one is lost. What cannot be told from a torn
//! write is damage to the last transaction.
//!
//! Format: <https://sqlite.org/fileformat2.html>, section 4.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::error::StoreError;

const HEADER_LENGTH: usize = 32;
const FRAME_HEADER_LENGTH: usize = 24;
/// The last bit of the magic number tells in which order the checksums read their words.
const MAGIC: u32 = 0x377f_0682;
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 512..=65_536;
/// Transactions that may end behind a broken frame: the one that was torn.
const TORN_LIMIT: u32 = 1;

/// # Errors
/// [`StoreError::Damaged`] if the log holds acknowledged commits that SQLite would drop.
pub(super) fn check(log: &Path) -> Result<(), StoreError> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("open", log)(error)),
    };
    match find_damage(BufReader::new(file)).map_err(StoreError::io("read", log))? {
        None => Ok(()),
        Some(what) => Err(StoreError::damaged(log, what)),
    }
}

fn find_damage(mut log: impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER_LENGTH];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let Some(mut reader) = FrameReader::begin(&header) else {
        // A header is synced before any frame: without frames nothing was ever acknowledged.
        let has_frames = log.read(&mut [0])? > 0;
        return Ok(has_frames.then(|| "its header is broken".into()));
    };
    let mut frame = vec![0; FRAME_HEADER_LENGTH + reader.page_size];
    let (mut broken_at, mut ends_behind) = (None, 0);
    for number in 1_u64.. {
        if !fill(&mut log, &mut frame)? {
            break;
        }
        if !reader.is_of_this_log(&frame) {
            // Frames of the log before this one, which are in the database already; or damage to
            // the mark itself, and then frames of this log follow.
            broken_at.get_or_insert(number);
        } else if broken_at.is_some() || !reader.continues(&frame) {
            broken_at.get_or_insert(number);
            ends_behind += u32::from(ends_transaction(&frame));
        }
    }
    let lost = broken_at.filter(|_| ends_behind > TORN_LIMIT);
    Ok(lost.map(|number| format!("frame {number} is broken, and commits follow it")))
}

/// Whether the buffer could be filled; a rest that is too short is what a crash leaves.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..].first_chunk().expect("the offset lies within a header");
    u32::from_be_bytes(*bytes)
}

/// The frame that ends a transaction tells the size of the database after it.
fn ends_transaction(frame: &[u8]) -> bool {
    word(frame, 4) != 0
}

struct FrameReader {
    page_size: usize,
    order: Order,
    /// Drawn anew for each log: tells its frames from older ones.
    salt: [u8; 8],
    /// Of all that came before.
    sum: [u32; 2],
}

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl FrameReader {
    /// `None` if the header is not whole.
    fn begin(header: &[u8; HEADER_LENGTH]) -> Option<FrameReader> {
        let order = match word(header, 0).checked_sub(MAGIC)? {
            0 => Order::Little,
            1 => Order::Big,
            _ => return None,
        };
        let page_size = Some(word(header, 8)).filter(|size| PAGE_SIZES.contains(size))?;
        let sum = add(order, [0, 0], &header[..24]);
        (sum == [word(header, 24), word(header, 28)]).then_some(FrameReader {
            page_size: usize::try_from(page_size).ok()?,
            order,
            salt: *header[16..].first_chunk()?,
            sum,
        })
    }

    fn is_of_this_log(&self, frame: &[u8]) -> bool {
        frame[8..16] == self.salt
    }

    fn continues(&mut self, frame: &[u8]) -> bool {
        let sum = add(self.order, self.sum, &frame[..8]);
        self.sum = add(self.order, sum, &frame[FRAME_HEADER_LENGTH..]);
        self.sum == [word(frame, 16), word(frame, 20)]
    }
}

/// SQLite's checksum, continued over `bytes`, whose length is a multiple of eight.
fn add(order: Order, [mut first, mut second]: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let read = match order {
        Order::Big => u32::from_be_bytes,
        Order::Little => u32::from_le_bytes,
    };
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    for [one, other] in pairs {
        first = first.wrapping_add(read(*one)).wrapping_add(second);
        second = second.wrapping_add(read(*other)).wrapping_add(first);
    }
    [first, second]
}
