"""Apple's calling convention for arm64, driven by C prototypes: what each imported function takes and returns.

A function of libSystem is registered with its prototype as text; how its arguments are decoded, which bits of its
result are noise, and what a trace prints of it come from there. Source: Apple, "Writing ARM64 code for Apple
platforms": variadic arguments stand on the stack alone, eight bytes each; the caller extends small integers to 32 bits.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

INTEGERS = {
    # C type -> (bits, signed)
    "bool": (1, False),
    "char": (8, True),
    "uint8_t": (8, False),
    "uint16_t": (16, False),
    "int": (32, True),
    "unsigned int": (32, False),
    "int32_t": (32, True),
    "uint32_t": (32, False),
    "long": (64, True),
    "unsigned long": (64, False),
    "int64_t": (64, True),
    "uint64_t": (64, False),
    "size_t": (64, False),
    "ssize_t": (64, True),
    "uintptr_t": (64, False),
    "off_t": (64, True),
    "pid_t": (32, True),
    "uid_t": (32, False),
    "gid_t": (32, False),
    "mode_t": (16, False),
    "socklen_t": (32, False),
    "useconds_t": (32, False),
    "clockid_t": (32, False),
    "pthread_t": (64, False),
    "pthread_key_t": (64, False),
    "mach_port_t": (32, False),
}
"""What is not here, and no `double` or `const char *`, is a pointer; CoreFoundation's types of them end in `Ref`."""

_PROTOTYPE = re.compile(r"^(?P<result>.+?[ *])(?P<name>\w+)\((?P<parameters>.*)\)$")
_PARAMETER = re.compile(r"^(?P<variadic>\.\.\.)?(?P<type>.+?[ *])(?P<name>\w+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter: `kind` is "integer", "pointer", "string" (const char *) or "double"."""

    name: str
    type: str
    kind: str
    bits: int
    signed: bool
    variadic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function that programs import.

    Attributes:
        header: the module that has it, which is a group of C headers ("files").
        noisy: whether bits 32 to 63 of the result are noise, as Apple's convention allows for 32 bits. Go uses all 64
            of a descriptor or a pid, and may: a kernel's answer has no noise there. So this is for mere 0 or -1.
        fails: how it tells an error: "errno" (-1, and errno), "null" (NULL, and errno), "number" (the number itself).
        call: what is called with the thread and the decoded arguments; a generator function where it may block.
    """

    name: str
    header: str
    result: Parameter
    parameters: tuple[Parameter, ...]
    fails: str
    noisy: bool
    call: Callable[..., Any]

    @property
    def prototype(self) -> str:
        """As C writes it."""
        listed = ", ".join(f"{'...' * each.variadic}{each.type} {each.name}" for each in self.parameters)
        return f"{self.result.type} {self.name}({listed or 'void'})"


FUNCTIONS: dict[str, Function] = {}
"""What there is, by the name in C, without the linker's underscore."""


def libsystem(prototype: str, *, fails: str = "errno", noisy: bool = False) -> Callable[[F], F]:
    """Registers what a function of libSystem does, under its C prototype.

    A variadic parameter is written `...mode_t mode`.
    """
    found = _PROTOTYPE.match(prototype)
    if not found:
        raise ValueError(f"no prototype: {prototype}")
    name, listed = found["name"], found["parameters"]
    parameters = tuple(_parameter(each.strip()) for each in listed.split(",")) if listed not in ("", "void") else ()

    def register(call: F) -> F:
        if name in FUNCTIONS:
            raise ValueError(f"{name} is there twice")
        FUNCTIONS[name] = Function(
            name=name,
            header=call.__module__.rpartition(".")[2],
            result=_typed("result", found["result"].strip()),
            parameters=parameters,
            fails=fails,
            noisy=noisy,
            call=call,
        )
        return call

    return register


def _parameter(text: str) -> Parameter:
    found = _PARAMETER.match(text)
    if not found:
        raise ValueError(f"no parameter: {text}")
    return _typed(found["name"], found["type"].strip(), variadic=bool(found["variadic"]))


def _typed(name: str, text: str, *, variadic: bool = False) -> Parameter:
    if text in ("const char *", "const char*"):
        kind, bits, signed = "string", 64, False
    elif text == "double":
        kind, bits, signed = "double", 64, True
    elif text == "void":
        kind, bits, signed = "void", 0, False
    elif text in INTEGERS:
        kind, (bits, signed) = "integer", INTEGERS[text]
    elif text.endswith(("*", "Ref", "_t")):
        kind, bits, signed = "pointer", 64, False
    else:
        raise ValueError(f"a type that nobody knows: {text}")
    return Parameter(name=name, type=text, kind=kind, bits=bits, signed=signed, variadic=variadic)


def as_integer(register: int, parameter: Parameter) -> int:
    """The value of an integer parameter by the bits that its type has; the others of a register are noise."""
    value = register & ((1 << parameter.bits) - 1)
    return value - (1 << parameter.bits) if parameter.signed and value >> (parameter.bits - 1) else value


def is_extended(register: int, parameter: Parameter) -> bool:
    """Whether the caller extended a small integer to 32 bits, as Apple's convention wants, unlike Arm's."""
    if parameter.bits >= 32:
        return True
    return register & 0xFFFFFFFF == as_integer(register, parameter) & 0xFFFFFFFF
