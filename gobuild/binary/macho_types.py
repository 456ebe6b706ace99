"""What a Mach-O file is made of: the types that `macho` fills, and the format's numbers.

Sources: Apple's <mach-o/loader.h> and <mach/machine.h>. Nothing here reads a file.
"""

from dataclasses import dataclass, field

from gobuild.binary.view import Range

MAGIC = 0xFEEDFACF
X86_64, ARM64 = 0x01000007, 0x0100000C
EXECUTE = 2
PIE, TWOLEVEL = 0x200000, 0x80
PLATFORM_MACOS = 1
WRITE = 2

OTHERS = {
    b"\xca\xfe\xba\xbe": "a fat (universal) file or a Java class",
    b"\xca\xfe\xba\xbf": "a fat (universal) file",
    b"\xbe\xba\xfe\xca": "a fat (universal) file",
    b"\xbf\xba\xfe\xca": "a fat (universal) file",
    b"\xce\xfa\xed\xfe": "a 32-bit Mach-O file",
    b"\xfe\xed\xfa\xce": "a big-endian Mach-O file",
    b"\xfe\xed\xfa\xcf": "a big-endian Mach-O file",
    b"\x7fELF": "an ELF file",
    b"MZ": "a Windows executable",
    b"!<arch>\n": "an archive of object files",
    b"#!": "a script",
}
"""What else a file may be, by its first bytes."""

_COMMANDS = {
    0x2: ("LC_SYMTAB", 24),
    0x5: ("LC_UNIXTHREAD", 184),
    0xB: ("LC_DYSYMTAB", 80),
    0xC: ("LC_LOAD_DYLIB", 0),
    0xE: ("LC_LOAD_DYLINKER", 0),
    0x19: ("LC_SEGMENT_64", 0),
    0x1B: ("LC_UUID", 24),
    0x1D: ("LC_CODE_SIGNATURE", 16),
    0x20: ("LC_LAZY_LOAD_DYLIB", 0),
    0x22: ("LC_DYLD_INFO", 48),
    0x24: ("LC_VERSION_MIN_MACOSX", 16),
    0x25: ("LC_VERSION_MIN_IPHONEOS", 16),
    0x26: ("LC_FUNCTION_STARTS", 16),
    0x29: ("LC_DATA_IN_CODE", 16),
    0x2A: ("LC_SOURCE_VERSION", 16),
    0x2F: ("LC_VERSION_MIN_TVOS", 16),
    0x30: ("LC_VERSION_MIN_WATCHOS", 16),
    0x32: ("LC_BUILD_VERSION", 0),
    0x80000018: ("LC_LOAD_WEAK_DYLIB", 0),
    0x8000001C: ("LC_RPATH", 0),
    0x8000001F: ("LC_REEXPORT_DYLIB", 0),
    0x80000022: ("LC_DYLD_INFO_ONLY", 48),
    0x80000023: ("LC_LOAD_UPWARD_DYLIB", 0),
    0x80000028: ("LC_MAIN", 24),
}
"""The load commands this reader understands, with the bytes of those that have one size only. A file with others that
dyld obeys, such as chained fixups, is not vouched for."""

COMMANDS = {number: name for number, (name, _) in _COMMANDS.items()}
SIZES = {name: size for name, size in _COMMANDS.values() if size}

LEGACY = frozenset(name for name in COMMANDS.values() if name.startswith("LC_VERSION_MIN"))
"""What LC_BUILD_VERSION replaced; beside it, or instead of it, Go's linker writes none since 1.21."""

DYLIBS = frozenset(name for name in COMMANDS.values() if name.endswith("_DYLIB"))


@dataclass(frozen=True, slots=True)
class Section:
    """A section (section_64).

    `reserved1` is where a section of stubs or of symbols' pointers begins in the indirect symbol table, and `reserved2`
    the bytes of each stub.
    """

    name: str
    segname: str
    addr: int
    size: int
    offset: int
    align: int
    reloff: int
    nreloc: int
    flags: int
    reserved1: int
    reserved2: int
    reserved3: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.addr + self.size

    @property
    def place(self) -> Range:
        """Its bytes in the file."""
        return Range(what=self.name, offset=self.offset, size=self.size)

    @property
    def section_type(self) -> int:
        """SECTION_TYPE of the flags."""
        return self.flags & 0xFF

    @property
    def zerofill(self) -> bool:
        """S_ZEROFILL, S_GB_ZEROFILL or S_THREAD_LOCAL_ZEROFILL: it has no bytes in the file."""
        return self.section_type in (0x1, 0xC, 0x12)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment (segment_command_64); `command` is where its load command stands."""

    command: int
    name: str
    sections: tuple[Section, ...]
    flags: int
    vmaddr: int
    vmsize: int
    fileoff: int
    filesize: int
    maxprot: int
    initprot: int


@dataclass(frozen=True, slots=True)
class Binding:
    """A symbol whose address dyld writes into the file's memory."""

    table: str  # one of `dyld_info.TABLES`
    name: str
    ordinal: int  # which of the file's libraries is asked, from 1; zero and less as in `dyld_info.SPECIAL`
    segment: int
    offset: int
    flags: int  # 1 for a weak import, which may be missing


@dataclass(slots=True, kw_only=True)
class MachO:
    """What the headers of a thin 64-bit Mach-O file say. Filled by `read_macho`, and not changed after.

    Attributes:
        commands: the load commands' names, in order; "0x..." for one that is not in `COMMANDS`.
        places: where the first of each name stands.
        dylibs: (load command, install name), in order.
        versions: the current and the compatibility version that each of them must have at least, and its timestamp.
        uuid: 32 hex digits.
        minos, sdk: "11.0".
        entry: the file offset of the first instruction, by LC_MAIN or (Go for darwin/amd64) LC_UNIXTHREAD.
        linkedit: everything in __LINKEDIT that a command points to, the signature too.
        undefined: by LC_DYSYMTAB, the number of the first undefined symbol, and how many there are.
        imports, n_desc: names of undefined symbols in the symbol table, and their n_desc.
        defined: how many symbols the table defines, local and debugging ones included.
    """

    cputype: int
    cpusubtype: int
    filetype: int
    flags: int
    commands_end: int
    commands: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    dylibs: list[tuple[str, str]] = field(default_factory=list)
    versions: list[tuple[int, int, int]] = field(default_factory=list)
    rpaths: list[str] = field(default_factory=list)
    dylinker: str = ""
    uuid: str = ""
    platform: int = 0
    minos: str = ""
    sdk: str = ""
    entry: int | None = None
    stacksize: int = 0
    linkedit: list[Range] = field(default_factory=list)
    signature: Range | None = None
    undefined: tuple[int, int] = (0, 0)
    imports: tuple[str, ...] = ()
    n_desc: tuple[int, ...] = ()
    bindings: tuple[Binding, ...] = ()
    defined: int = 0

    @property
    def bound(self) -> frozenset[str]:
        """The names of what dyld binds."""
        return frozenset(binding.name for binding in self.bindings)

    def table(self, what: str) -> Range | None:
        """The table in __LINKEDIT of that name."""
        return next((each for each in self.linkedit if each.what == what), None)

    def segment(self, name: str) -> Segment | None:
        """The segment of that name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((each for segment in self.segments for each in segment.sections if each.name == name), None)
