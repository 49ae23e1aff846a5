"""Every session has a folder name from its creation; those made before get theirs now."""

import re
import unicodedata

from django.db import migrations


def name_folders(apps, _schema):
    sessions = apps.get_model("sessions_app", "Session").objects
    for session in sessions.filter(folder="").only("pk", "name", "created_at").iterator():
        plain = unicodedata.normalize("NFKD", session.name).encode("ascii", "ignore").decode()
        label = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-") or "session"
        folder = f"{label}-{session.created_at:%Y-%m-%d}-{session.pk.hex[:12]}"
        sessions.filter(pk=session.pk).update(folder=folder)


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0004_artifacts")]

    operations = [migrations.RunPython(name_folders, migrations.RunPython.noop)]
