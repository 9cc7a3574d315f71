//! What a model is to copy although it has never seen it: words that do not exist, names, letters, rare characters. From
//! these it learns to copy piece by piece.

use crate::dice::Dice;
use crate::reading::Reading;
use std::sync::LazyLock;

const ONSETS: [&str; 30] = [
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "y", "z", "br", "ch", "cl",
    "fl", "gr", "pl", "qu", "sh", "st", "th", "tr",
];
const VOWELS: [&str; 14] = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ea", "ee", "oo", "ou"];
const CODAS: [&str; 20] =
    ["", "", "", "", "", "n", "r", "s", "t", "l", "m", "d", "ck", "ng", "st", "x", "ll", "nd", "p", "g"];

fn syllables(dice: &mut Dice) -> String {
    (0..*dice.pick(&[1, 2, 2, 2, 3]))
        .map(|_| format!("{}{}{}", dice.pick(&ONSETS), dice.pick(&VOWELS), dice.pick(&CODAS)))
        .collect()
}

/// A word that could be English.
pub fn word(dice: &mut Dice) -> Reading {
    Reading::copied(syllables(dice))
}

/// The same with a capital letter.
pub fn name(dice: &mut Dice) -> Reading {
    let word = syllables(dice);
    Reading::copied(word[..1].to_uppercase() + &word[1..])
}

/// Letters in any order: three to six small ones, or two to five capitals.
pub fn letters(dice: &mut Dice) -> Reading {
    let (first, count) = if dice.chance(50) { (b'a', dice.between(3, 6)) } else { (b'A', dice.between(2, 5)) };
    let letters: String = (0..count).map(|_| char::from(first + dice.below(26) as u8)).collect();
    Reading::copied(letters)
}

/// Chinese characters that make a text of almost any kind; but those of [`COUNTING`] are not drawn.
const COMMON: &str = "的是不了在我他这们中来上大为和国地到以说要就出会可也你对生能而子那得于着自之用道行所然家事成方多经么去法学如都同现当没动面起看定进好小部其些主\
    样理心她本前开但因只从想实她此正比合意明情体全常最新外高老她身白又她应海文打信入真思走光教金向路先手已性长把身门原风很口问战气太题被给叫感表女何她明它系与世别\
    物知听放加变告诉电办完走请让处爱命觉算吃话军通接收书认立关头特结连非空管每保持任今变提活该务张王李刘陈杨赵黄周吴徐孙马朱胡林郭罗梁宋郑谢韩唐冯董程曹袁邓许\
    您恭喜欢迎顾客谁球赛冠亚病毒历史影响研究科技网络软件产品市场销售律师飞机票航班医院药物治疗疫苗环境污染森林动植物汽车司机警察消防餐厅菜单蛋糕咖啡啤酒鸡鸭\
    衣裤鞋帽颜色红绿蓝紫灰春夏秋冬雨雪晴阴云雾霜温暖寒冷凉快跑跳唱舞画琴棋诗歌剧院导演员星明亮黑暗宽窄深浅轻厚薄软硬干湿净脏乱静闹忙闲早晚";

/// Characters whose meaning for a number decides how it is read.
const COUNTING: &str = "零〇一二三四五六七八九十百千万亿萬億兆两负半点又第年月日号时分秒刻元角毛块美欧英日港钱个只本张比加减乘除等于公前后路室层页岁度名次平方米克吨升斤里倍";

/// One to five Chinese characters, mostly of the common ones, else of all.
pub fn characters(dice: &mut Dice) -> Reading {
    static PLAIN: LazyLock<Vec<char>> =
        LazyLock::new(|| COMMON.chars().filter(|c| !c.is_whitespace() && !COUNTING.contains(*c)).collect());
    let rare = dice.chance(5);
    let count = dice.between(1, if rare { 2 } else { 5 });
    let draw = |_| match rare {
        true => loop {
            let rare = char::from_u32(0x4e00 + dice.below(0x51a5) as u32).unwrap_or('的');
            if !COUNTING.contains(rare) {
                break rare;
            }
        },
        false => *dice.pick(&PLAIN),
    };
    Reading::copied((0..count).map(draw).collect::<String>())
}
