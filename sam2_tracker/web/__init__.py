# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The prompt console: an HTTP server and the page that it serves, without ROS.

The server knows the tracker as a `TrackerClient` only. `static` has the page: plain ES modules and
CSS, served as they lie there.
"""
