"""Claims, dispatches and the hot ledger in Redis."""

from tasks.adapters.claims.redis_claims import RedisClaims
from tasks.adapters.claims.redis_dispatches import RedisDispatches
from tasks.adapters.claims.redis_ledger import RedisLedger

__all__ = ["RedisClaims", "RedisDispatches", "RedisLedger"]
