# SPDX-License-Identifier: GPL-2.0-or-later
"""Packaging of fence_ovh. The version stands in fencing.py alone."""

import pathlib
import re

from setuptools import setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'^RELEASE_VERSION = "(.+)"', (HERE / "fencing.py").read_text("utf-8"), re.M)

setup(
    name="fence_ovh",
    version=VERSION.group(1),
    description="Fence agent for clusters on OVH dedicated servers",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="the fence_ovh authors",
    license="GPL-2.0-or-later",
    project_urls={
        "Provider": "https://www.ovhcloud.com",
        "Provider's API": "https://eu.api.ovh.com",
    },
    keywords=["fencing", "stonith", "pacemaker", "high availability", "ovh"],
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Clustering",
        "Topic :: System :: Systems Administration",
    ],
    python_requires=">=3.9",
    scripts=["fence_ovh"],
    # Not a module of the environment: a `fencing` in site-packages would stand in
    # the way of the distribution's, which every other agent imports.
    py_modules=[],
    data_files=[
        ("share/fence-ovh", ["fencing.py"]),
        ("share/man/man8", ["man/fence_ovh.8"]),
    ],
    install_requires=[
        "suds-community>=1.1.2",  # makes the envelopes of the SOAP API; REST needs nothing
        "pexpect>=4.8",  # runs ssh in a pseudo-terminal, for rescue_ssh_key alone
    ],
    extras_require={
        "test": [
            "ovh>=1.2.0",  # the provider's own client: signatures and files are compared with it
            "pytest>=7.2",  # runs the tests
            "pytest-xdist>=3.1",  # runs them side by side: most of them wait for a reboot
            "hypothesis>=6.67",  # makes the inputs and schedules that nobody thinks of
            "pyyaml>=6.0",  # reads an example
            "setuptools>=66",  # builds what the tests of packaging install, without a network
            "wheel>=0.38",  # which older setuptools need for that
        ],
    },
)
