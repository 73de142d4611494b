"""Texts of a header that may stand in a record, because they are known to name nobody.

Modality, units, photometric interpretation, manufacturer and model are typed or
configured somewhere, so a name can stand in each of them. A value is kept when it is a
defined term, or when it is made of known words; any other is left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

#: Defined Terms of Modality (0008,0060): PS3.3 C.7.3.1.1.1, and the retired ones.
MODALITIES = frozenset(
    """
    ANN AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC
    DS DX EC ECG EEG EMG EOG EPS ES FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP
    LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR
    PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT
    RWV SC SEG SM SMR SR SRF ST STAIN TEM TEXTUREMAP TG US VA VF XA XAPROTOCOL XC
    """.split()
)

#: Defined Terms of Photometric Interpretation (0028,0004): PS3.3 C.7.6.3.1.2.
PHOTOMETRIC_INTERPRETATIONS = frozenset(
    """
    MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_422 YBR_PARTIAL_420
    YBR_ICT YBR_RCT XYB HSV ARGB CMYK
    """.split()
) | {"PALETTE COLOR"}

# Rescale Type (PS3.3 C.11.1.1.2) and Units (C.8.9.1.1.3).
_UNITS = frozenset(
    """
    HU OD US MGML Z_EFF ED EDW HU_MOD PCT
    CNTS NONE CM2 CM2ML PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS
    PROPCPS MLMINML MLML GML STDDEV NORMALIZED SUV SUL
    """.split()
)
# Units of UCUM, as Real World Value Mappings have them: [hnsf'U], 10-6.mm2/s,
# g/ml{SUVbw}. Prefix and unit, so that no name is one.
_ANNOTATION = r"\{(?:SUV(?:bw|lbm|bsa|ibw)|counts?|ratio|normalized|arbitrary)\}"
_ATOM = (
    r"(?:1|%|10[*^]?-?\d{1,2}|\[hnsf'U\]|\[arb'U\]|min|h|d|deg|rad|dB|eV"
    r"|[fpnumcdkMG]?(?:g|m|s|l|L|Bq|Gy|Sv|Hz|mol|Pa|T|V|A|K)|Cel)"
)
_UCUM = re.compile(
    rf"(?:{_ANNOTATION}|(?:{_ANNOTATION}|/)?{_ATOM}-?\d?(?:{_ANNOTATION})?"
    rf"(?:[./]{_ATOM}-?\d?(?:{_ANNOTATION})?){{0,4}})"
)

_MAKERS = frozenset(
    """
    acme acuson ag agfa alpinion analogic and aspect bio bioscan biospace bk bruker bv
    by canfield canon cardiac carestream caresyntax co company computed corp corporation
    ct cti dcmqi dcmtk de def der devices diagnostic diagnostics digirad electric
    electron electronics elekta elscint esaote film fonar fuji fujifilm ge gehc gems
    general gevaert gmbh group hamamatsu health healthcare healthineers highdicom
    hitachi hologic hospital hyperfine icad imagesystems imaging imatron inc
    incorporated industries instrument instrumentarium instruments international io itk
    kg kk kodak konica lab laboratories limited llc lodox ltd ltda lunit mako
    manufacturer manufacturing marconi marquette mec medical medico mediso meditec
    medizin medizintechnik medtronic merge mevis mim mindray minolta molecubes mortara
    mri ms nemoto neusoft nm nuclear nuctech nv of offis olympus optos osirix oy paramed
    pet philips picker planmeca plexmed pty pydicom qiicr radiology raysearch roche
    rogan s sa samsung schick se sedecal shimadzu siemens sirona slicer software
    solutions sonosite sp spa srl supersonic system systems technologies technology
    terarecon the tomtec topcon toshiba trex ultrasound united usa v varian vatech vidar
    visage vital x xr xray zeiss ziehm zonare
    """.split()
)

_MODELS = frozenset(
    """
    ac achieva acuity adac adc ads advance advanced advantage affiniti airis allura
    alphenix altaire altix amira ampere amulet anatom and apex aplio apollo aquarius
    aquilion architect arietta artis as asteion aura auriga avanto avanza axiom axis
    azurion biograph body brightspeed brightview brilliance brivo cardio cci celesteion
    centricity chorus clarity classic clinac combi compact cone confidence corevision cr
    ct cti ctr cv definition definium digital dimension dimensions discover discovery
    dixel dose dr drive dst dual duo duralinac dx echelon echo echospeed edge elan elite
    elition em emotion encore ensite enso entrex envisor ep epiq era esprit essential
    essenza evo evolution excel excelart excite exp expert explora explorer express fd
    fdr flash flex flow force forte freedom frontier fusion galan galaxy gemini genesis
    genius gp gx gyroscan halcyon halo hawkeye hd hdx hdxt hf hiflexi hispeed horizon hp
    hr hs hybrid icon iconos image imager impax incisive infinia infinion infinity
    ingenia ingenuity innova inova insight insignia integrated integris intera interis
    investigator iq iqon irix is iso jetstream kinetic large lb le leap lightspeed linac
    linear lite logiq ls lumina luminos lux lx magnetom max maxima mct medium mg mi
    millennium mini mira mm mn mobile mobilett model module mosaic motion mp mr mri mrt
    multi multix mx mxe myosight naeotom nautilus neo neuro next nm nova novus nt
    numaris nx oasis of omega omni oncor one open openart opera opthos optima optimus
    orchestra panorama pegasus performance perspective pet petmr phantom phoenix
    pinnacle pioneer planar plus polestar portable precedence precision premium
    prestilix prima prime primus prism prisma pristina pro profile quad quadra quant
    quantum radiance rapid raptor refino revelation revolution rhapsode rotating rt
    saturn scan scanner scenaria scenium scintron scope se select selenia senographe
    sensation sequoia series shape siemens sigma signa silver sim single skylight skyra
    sola solaris somatom sonata sonoline sp spect spectra spectral spectrum speed spin
    spirit sr st stand star ste stellar studio supra supria sv symbia symphony synapse
    synchro synergy system tandem taurus tech tf tim titan tomo tomotherapy total
    trilogy trio triotim triumph true truebeam turbo twin tx ultima ultra unity
    universal upgrade us vantage varicam vct ve velocity ventri venue verio vero versa
    vida vision vista vivid volume voluson vs vx workstation xcelera xeleris xi xl xp
    xpress xr xt xtra xtreme zenith
    """.split()
)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_KNOWN_WORDS = _MAKERS | _MODELS
# More of them are the number of something: a series, a patient, a day.
_MOST_DIGITS = 4
# Letters beside a number that are a code and no word: CX50, S64, MR750w.
_CODE = re.compile(r"[A-Za-z]{0,2}\d{1,4}[A-Za-z]{0,2}")


def known_modality(value: str) -> str:
    """The modality if it is a defined term, else the empty string."""
    return value if value in MODALITIES else ""


def known_photometric(value: str) -> str:
    """The photometric interpretation if it is a defined term, else empty."""
    return value if value in PHOTOMETRIC_INTERPRETATIONS else ""


def known_units(value: str) -> str:
    """The units if they are a defined term or UCUM, else empty."""
    return value if value in _UNITS or _UCUM.fullmatch(value) else ""


@functools.lru_cache(maxsize=1 << 10)  # images of a folder have few makers
def known_device(value: str) -> str:
    """A manufacturer's or model's name if it is made of known words, else empty.

    Four digits in all, alone or with up to two letters on each side (``CX50``), are
    known too.
    """
    parts = re.findall(r"\w+", value.replace("_", " "))
    few_digits = sum(map(str.isdigit, value)) <= _MOST_DIGITS
    return value if few_digits and parts and all(map(_is_known_part, parts)) else ""


def _is_known_part(part: str) -> bool:
    words = _WORD.findall(part)
    letters = [one.lower() for one in words if not one.isdigit()]
    if _CODE.fullmatch(part):
        return True
    return all(one in _KNOWN_WORDS or len(one) == 1 for one in letters)


#: What checks a field of the record that is text from a header.
CHECKED: Mapping[str, Callable[[str], str]] = {
    "modality": known_modality,
    "photometric_interpretation": known_photometric,
    "units": known_units,
    "manufacturer": known_device,
    "model": known_device,
}
