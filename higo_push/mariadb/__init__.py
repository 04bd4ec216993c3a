"""Django's MySQL backend, with what the pipeline's hot reads need; `DATABASE_URL=mysql://…` chooses it."""
