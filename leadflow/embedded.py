"""placeholder, being replaced"""
import os
from pathlib import Path
def database_url(data: Path) -> str: return "postgres://lf@127.0.0.1:55432/lf_lead"
def redis_url(data: Path) -> str: return "redis://127.0.0.1:6399/0"
def secret_key(data: Path) -> str: return "x" * 60
