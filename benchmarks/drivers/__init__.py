"""Fixtures that give scenarios their environment without the plugin, a module for each way to have one."""
