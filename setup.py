"""Builds the C core (native/) as walbd._core; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["native/build_core.py:ffibuilder"])
