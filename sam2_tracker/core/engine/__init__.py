# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
SAM 2 on an endless stream: encode, prompt, track, summarise, one object or many in a batch.

The only room of the core that runs a model; nothing here knows what a tracker is.
"""
