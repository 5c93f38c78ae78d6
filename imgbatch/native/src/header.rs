//! What precedes the coded data of a JPEG (ITU-T T.81, annex B).

use crate::huffman::{Kind, Table};

/// Why a file is left to another decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum NotMine {
    /// A coding process, a sampling, or anything else that is not known here.
    Unknown = 1,
    /// Its header breaks a rule.
    Header = 2,
    /// Its data break a rule, are too few or too many.
    Data = 3,
    /// The caller expects another picture.
    Buffer = 4,
    /// There is not enough memory.
    Memory = 5,
}

/// A shorter segment is none to libjpeg.
const JFIF: usize = 14;

type Checked<T> = Result<T, NotMine>;

/// From a place in the zigzag order to its place in a block, row by row (figure A.6).
pub const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// A component of the frame: its sampling factors and the numbers of its tables.
#[derive(Clone, Copy, Default)]
pub struct Component {
    id: u8,
    pub across: usize,
    pub down: usize,
    quantisation: usize,
    dc: usize,
    ac: usize,
}

/// All that is needed to decode the data behind it.
pub struct Header {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
    pub restart_interval: usize,
    quantisation: [Option<[i16; 64]>; 4],
    dc: [Option<Box<Table>>; 4],
    ac: [Option<Box<Table>>; 4],
}

impl Header {
    /// Read the segments up to the data of the first scan, which come next.
    pub fn read(file: &[u8]) -> Checked<Header> {
        let mut reader = Reader::new(file)?;
        loop {
            let (marker, payload) = reader.segment()?;
            match marker {
                0xC0 | 0xC1 => reader.frame(payload)?,
                0xC4 => reader.huffman(payload)?,
                0xDA if reader.at == file.len() => return reader.scan(payload),
                0xDB => reader.quantisation(payload)?,
                0xDD => {
                    let [high, low] = payload else { return Err(NotMine::Header) };
                    reader.restart_interval = usize::from(u16::from_be_bytes([*high, *low]));
                }
                0xE0 => reader.jfif |= payload.len() >= JFIF && payload.starts_with(b"JFIF\0"),
                0xEE if payload.starts_with(b"Adobe") => {
                    reader.adobe = Some(*payload.get(11).ok_or(NotMine::Header)?);
                }
                0xE1..=0xEF | 0xFE => {}
                _ => return Err(NotMine::Unknown),
            }
        }
    }

    /// The quantisation table of a component, in zigzag order.
    pub fn steps(&self, component: &Component) -> Checked<&[i16; 64]> {
        self.quantisation[component.quantisation].as_ref().ok_or(NotMine::Header)
    }

    /// The Huffman tables of a component, for DC and AC.
    pub fn tables(&self, component: &Component) -> Checked<(&Table, &Table)> {
        let dc = self.dc[component.dc].as_deref().ok_or(NotMine::Header)?;
        let ac = self.ac[component.ac].as_deref().ok_or(NotMine::Header)?;
        Ok((dc, ac))
    }

    /// The greatest sampling factors, across and down.
    pub fn sampling(&self) -> (usize, usize) {
        (self.components[0].across, self.components[0].down)
    }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
    jfif: bool,
    adobe: Option<u8>,
    restart_interval: usize,
    frame: Option<(usize, usize, Vec<Component>)>,
    quantisation: [Option<[i16; 64]>; 4],
    dc: [Option<Box<Table>>; 4],
    ac: [Option<Box<Table>>; 4],
}

impl<'a> Reader<'a> {
    fn new(file: &'a [u8]) -> Checked<Self> {
        if !file.starts_with(&[0xFF, 0xD8]) {
            return Err(NotMine::Unknown);
        }
        Ok(Reader {
            file,
            at: 2,
            jfif: false,
            adobe: None,
            restart_interval: 0,
            frame: None,
            quantisation: [None; 4],
            dc: [None, None, None, None],
            ac: [None, None, None, None],
        })
    }

    fn segment(&mut self) -> Checked<(u8, &'a [u8])> {
        let head = self.file.get(self.at..self.at + 4).ok_or(NotMine::Header)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[0] != 0xFF || length < 2 {
            return Err(NotMine::Header);
        }
        let stop = self.at + 2 + length;
        let payload = self.file.get(self.at + 4..stop).ok_or(NotMine::Header)?;
        self.at = stop;
        Ok((head[1], payload))
    }

    /// Table B.2, for grey and colour with 8 bits.
    fn frame(&mut self, payload: &[u8]) -> Checked<()> {
        let [8, h0, h1, w0, w1, count, rest @ ..] = payload else { return Err(NotMine::Unknown) };
        let height = usize::from(u16::from_be_bytes([*h0, *h1]));
        let width = usize::from(u16::from_be_bytes([*w0, *w1]));
        let known = matches!(count, 1 | 3) && rest.len() == 3 * usize::from(*count);
        if self.frame.is_some() || !known || width == 0 || height == 0 {
            return Err(NotMine::Unknown);
        }
        let components: Vec<Component> = rest
            .chunks_exact(3)
            .map(|one| Component {
                id: one[0],
                across: usize::from(one[1] >> 4),
                down: usize::from(one[1] & 15),
                quantisation: usize::from(one[2]),
                ..Component::default()
            })
            .collect();
        let factors = 1..=4;
        let is_right = |one: &Component| {
            factors.contains(&one.across) && factors.contains(&one.down) && one.quantisation < 4
        };
        if !components.iter().all(is_right) {
            return Err(NotMine::Header);
        }
        self.frame = Some((width, height, components));
        Ok(())
    }

    /// Table B.4, for tables with 8 bits.
    fn quantisation(&mut self, mut payload: &[u8]) -> Checked<()> {
        while let [number, rest @ ..] = payload {
            let (steps, rest) = rest.split_at_checked(64).ok_or(NotMine::Unknown)?;
            if *number > 3 || steps.contains(&0) {
                return Err(NotMine::Unknown);
            }
            let mut table = [0; 64];
            for (step, found) in table.iter_mut().zip(steps) {
                *step = i16::from(*found);
            }
            self.quantisation[usize::from(*number)] = Some(table);
            payload = rest;
        }
        Ok(())
    }

    /// Table B.5.
    fn huffman(&mut self, mut payload: &[u8]) -> Checked<()> {
        while !payload.is_empty() {
            let (head, rest) = payload.split_at_checked(17).ok_or(NotMine::Header)?;
            let counts: &[u8; 16] = head[1..].try_into().expect("16 are left");
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or(NotMine::Header)?;
            let (kind, tables) = match head[0] >> 4 {
                0 => (Kind::Dc, &mut self.dc),
                1 => (Kind::Ac, &mut self.ac),
                _ => return Err(NotMine::Header),
            };
            let place = tables.get_mut(usize::from(head[0] & 15)).ok_or(NotMine::Header)?;
            *place = Some(Table::new(counts, symbols, kind).ok_or(NotMine::Header)?);
            payload = rest;
        }
        Ok(())
    }

    /// Table B.3, for a scan of all components with all their coefficients.
    fn scan(mut self, payload: &[u8]) -> Checked<Header> {
        let (width, height, mut components) = self.frame.take().ok_or(NotMine::Header)?;
        let count = components.len();
        if payload.len() != 4 + 2 * count
            || usize::from(payload[0]) != count
            || payload[1 + 2 * count..] != [0, 63, 0]
        {
            return Err(NotMine::Unknown);
        }
        for (one, chosen) in components.iter_mut().zip(payload[1..].chunks_exact(2)) {
            (one.dc, one.ac) = (usize::from(chosen[1] >> 4), usize::from(chosen[1] & 15));
            if one.id != chosen[0] || one.dc > 3 || one.ac > 3 {
                return Err(NotMine::Header);
            }
        }
        self.check_colours(&components)?;
        if let [grey] = &mut components[..] {
            // The data of a single component are not interleaved, whatever its factors (A.2.2).
            (grey.across, grey.down) = (1, 1);
        }
        Ok(Header {
            width,
            height,
            components,
            restart_interval: self.restart_interval,
            quantisation: self.quantisation,
            dc: self.dc,
            ac: self.ac,
        })
    }

    /// Whether this is grey or YCbCr with a known sampling, as libjpeg decides.
    fn check_colours(&self, components: &[Component]) -> Checked<()> {
        let [luma, blue, red] = components else { return Ok(()) };
        let halved = |one: &Component| (one.across, one.down) == (1, 1);
        let known = matches!(luma.across, 1 | 2) && matches!(luma.down, 1 | 2);
        let is_rgb = match (self.jfif, self.adobe) {
            (true, _) => false,
            (false, Some(transform)) => transform != 1,
            (false, None) => [luma.id, blue.id, red.id] == *b"RGB",
        };
        if known && halved(blue) && halved(red) && !is_rgb { Ok(()) } else { Err(NotMine::Unknown) }
    }
}
