# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent on the other Debian release, as a user has it there."""
