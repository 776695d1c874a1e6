# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent in a real cluster: Pacemaker on nodes that are network namespaces of this machine."""
