"""`-p NAME` works from any directory by what is running."""

from tests.project import Project


def test_a_project_without_its_file(project: Project) -> None:
    project.write(
        """
        services:
          db: {image: IMAGE, command: sleep 1000, init: true, volumes: ["data:/data"], ports: ["PORT0:80"]}
          web: {image: IMAGE, command: "sh -c 'echo begun; sleep 1000'", init: true, depends_on: [db]}
        volumes: {data: }
        """
    )
    project.run("up", "-d")
    (project.folder / "compose.yaml").unlink()
    assert "no configuration file" in project.run("ps", code=1).stderr
    named = ("-p", "project")
    assert set(project.run(*named, "ps", "--services").stdout.split()) == {"db", "web"}
    assert "begun" in project.run(*named, "logs", "web").stdout
    assert project.run(*named, "exec", "-T", "web", "echo", "hi").stdout == "hi\n"
    assert str(project.ports[0]) in project.run(*named, "port", "db", "80").stdout
    assert "no such service: nope" in project.run(*named, "stop", "nope", code=1).stderr
    # In the order of their dependencies, which the containers' labels keep.
    stopped = project.run(*named, "stop", "-t", "0").stderr
    assert stopped.index("project-web-1  Stopped") < stopped.index("project-db-1  Stopping")
    started = project.run(*named, "start").stderr
    assert started.index("project-db-1  Started") < started.index("project-web-1  Starting")
    project.run(*named, "restart", "-t", "0", "web")
    project.run(*named, "kill", "web")
    assert "no configuration file" in project.run(*named, "up", "-d", code=1).stderr
    project.environ["COMPOSE_PROJECT_NAME"] = "project"
    down = project.run("down", "-v", "-t", "0").stderr
    assert "Volume project_data  Removed" in down and "Network project_default  Removed" in down
    assert "nothing of that name exists" in project.run("ps", code=1).stderr
