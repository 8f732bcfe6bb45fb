# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
One model for several streams: a thread that runs it, in turns, and what each stream sees of it.

It knows neither frames nor objects, and imports no other room.
"""
