"""HTTP: the same operations as the page and the command line, nothing of its own.

routes    what can be asked
problems  errors as answers: RFC 9457, and the seed's shape where another run goes
guard     who may ask
server    the process behind `python -m sync serve`
"""

from sync.api.routes import create_app
from sync.api.server import serve

__all__ = ["create_app", "serve"]
