//! The table of replacements that SentencePiece compiles: the length of a double array in bytes, the array, and the texts
//! that its values point at, each ended by a zero.

/// The longest text that a character may become: one ligature of Arabic becomes 33 bytes.
const LONGEST: usize = 128;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Charsmap {
    units: Vec<u32>,
    texts: String,
}

impl Charsmap {
    /// The longest prefix of `text` that is replaced, in bytes, and by what.
    pub(crate) fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let mut place = base(0, *self.units.first()?);
        let mut longest = None;
        for (i, byte) in text.bytes().enumerate() {
            let at = place ^ usize::from(byte);
            let unit = *self.units.get(at)?;
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                break;
            }
            place = base(at, unit);
            if unit >> 8 & 1 == 1 {
                let start = (self.units.get(place)? & (u32::MAX >> 1)) as usize;
                longest = self.texts.get(start..).and_then(|text| text.split('\0').next()).map(|by| (i + 1, by));
            }
        }
        longest.filter(|(len, _)| text.is_char_boundary(*len))
    }

    /// Reads a table in which every search stays inside the array, and ends in a text.
    ///
    /// # Errors
    /// Where it is another.
    pub(crate) fn read(base64: &str) -> Result<Self, String> {
        let bytes = base64::decode(base64).map_err(|error| error.to_string())?;
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or("it has no length")?;
        let length = u32::from_le_bytes(*length) as usize;
        let array = rest.get(..length).filter(|_| length > 0 && length.is_multiple_of(4));
        let array = array.ok_or_else(|| format!("an array of {length} bytes does not lie in its {}", rest.len()))?;
        let texts = std::str::from_utf8(&rest[length..]).map_err(|error| format!("its texts: {error}"))?;
        let units: Vec<u32> =
            array.chunks_exact(4).map(|unit| u32::from_le_bytes(unit.try_into().unwrap_or_default())).collect();
        for (i, &unit) in units.iter().enumerate().filter(|(_, unit)| **unit >> 31 == 0) {
            let base = base(i, unit);
            // A search goes on to `base ^ byte`.
            if base | 0xff >= units.len() {
                return Err(format!("unit {i} points at {base}, outside its {} units", units.len()));
            }
            if unit >> 8 & 1 == 1 {
                let start = (units[base] & (u32::MAX >> 1)) as usize;
                let text = texts.get(start..).ok_or_else(|| format!("unit {base} points at no text"))?;
                if text.bytes().take(LONGEST + 1).take_while(|&byte| byte != 0).count() > LONGEST {
                    return Err(format!("the text of unit {base} is longer than {LONGEST} bytes"));
                }
            }
        }
        Ok(Self { units, texts: texts.to_owned() })
    }
}

/// Where the units after this one begin.
fn base(place: usize, unit: u32) -> usize {
    place ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base64: &str) -> Result<(), String> {
        Charsmap::read(base64).map(drop)
    }

    fn table(length: u32, units: &[u32], texts: &[u8]) -> String {
        let units = units.iter().flat_map(|unit| unit.to_le_bytes());
        base64::encode(length.to_le_bytes().into_iter().chain(units).chain(texts.iter().copied()).collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_is_replaced() {
        // "a" becomes "x", "ab" nothing.
        let mut units = [0_u32; 1024];
        let node = |label: u8, place: usize, next: usize| u32::from(label) | 1 << 8 | ((place ^ next) as u32) << 10;
        units[0] = 256 << 10;
        units[256 ^ usize::from(b'a')] = node(b'a', 256 ^ usize::from(b'a'), 512);
        units[512] = 1 << 31;
        units[512 ^ usize::from(b'b')] = node(b'b', 512 ^ usize::from(b'b'), 768);
        units[768] = 1 << 31 | 1;
        let charsmap = Charsmap::read(&table(4096, &units, b"x\0\0")).unwrap();
        for (text, expected) in
            [("a", Some((1, "x"))), ("acb", Some((1, "x"))), ("abb", Some((2, ""))), ("b", None), ("", None)]
        {
            assert_eq!(charsmap.longest(text), expected, "{text:?}");
        }
    }

    #[test]
    fn searches_stay_inside() {
        let empty = [0; 256];
        assert_eq!(check(&table(1024, &empty, b"ab\0")), Ok(()));
        for (length, texts) in [(0, &b""[..]), (1023, b""), (1028, b""), (u32::MAX, b""), (1024, b"\xff")] {
            assert!(check(&table(length, &empty, texts)).is_err(), "{length}");
        }
        // 'a' has a value at 0 ^ 1.
        let mut one = empty;
        one[usize::from(b'a')] = 1 << 8 | u32::from(b'a') | (u32::from(b'a') ^ 1) << 10;
        one[1] = 1 << 31 | 3;
        assert_eq!(check(&table(1024, &one, b"ab\0")), Ok(()));
        one[1] = 1 << 31 | 4;
        assert!(check(&table(1024, &one, b"ab\0")).unwrap_err().contains("no text"));
        one[1] = 1 << 31;
        assert!(check(&table(1024, &one, &[b'x'; 200])).unwrap_err().contains("longer"));
        one[usize::from(b'a')] |= 1 << 20;
        assert!(check(&table(1024, &one, b"ab\0")).unwrap_err().contains("outside"));
        assert!(check("no base64!").is_err() && check("AAA=").is_err());
    }
}
